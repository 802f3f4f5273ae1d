"""Adapting a Sam to other images: what is trained, what is added, and small files that hold only that."""
