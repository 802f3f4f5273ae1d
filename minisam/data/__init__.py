"""Sources of images and masks: PartWorld, image files, SA-1B and COCO."""
