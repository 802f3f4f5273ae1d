"""segment-anything's `utils`: its names in its modules, each handed on from the file where it lives in minisam."""
