"""The network in forms that other programs run."""
