"""The same results sooner: absorbed, fused and CPU-linear code, and the one dispatcher that picks a road.

The files of minisam/model/ define what the network computes. A file here computes a part of it in less time or memory,
and is tested equal to it. `dispatcher.py` decides; where it says None, the plain file stands.
"""
