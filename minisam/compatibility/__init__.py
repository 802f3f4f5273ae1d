"""What code written for segment-anything calls and minisam itself has no use for: thin, and tested against it."""
