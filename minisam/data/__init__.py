"""Where images and masks come from: PartWorld, image files, run-length encoding."""
