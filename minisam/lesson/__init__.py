"""The lessons' machinery: finding them, running them, checking answers, and building notebooks and pages."""
