"""The data engine: a model and an annotator that make each other's work better (SAM section 4)."""
