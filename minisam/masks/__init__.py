"""What everybody does with masks: IoU, boxes, run lengths, polygons, components, NMS, distance, sampling."""
