"""The data engine: a model and an annotator that improve each other's work (SAM section 4)."""
