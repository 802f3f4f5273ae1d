"""Where images and masks come from: PartWorld, image files, SA-1B and COCO, run-length encoding."""
