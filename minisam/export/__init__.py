"""The network in formats for other programs."""
