"""Functions of segment-anything that minisam itself does not need: thin wrappers, tested against the original."""
