"""The same results faster: absorbed, fused and CPU-linear code, and the dispatcher that selects a path.

The files of minisam/model/ define what the network computes. A file here computes a part of it with less time or
memory, and tests check that the results are equal. `dispatcher.py` decides; if it returns None, the plain code is
used.
"""
