"""Kernels for minisam: `reference/` says in NumPy what each one computes."""
