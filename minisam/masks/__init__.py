"""Operations on masks: IoU, boxes, run lengths, polygons, components, NMS, distance, sampling."""
