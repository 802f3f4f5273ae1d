"""The same results sooner: absorbed, fused and CPU-linear code, and what decides which road is taken."""
