"""The specification: what every component of Segment Anything computes, in NumPy, one file per component."""
