"""The commands, one file each; see `minisam --help`."""
