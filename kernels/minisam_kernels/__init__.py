"""Kernels for minisam: `reference/` defines in NumPy what each one computes."""
