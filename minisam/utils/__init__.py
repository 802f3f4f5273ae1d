"""segment-anything's `utils`: its names in its modules, each re-exported from its file in minisam."""
