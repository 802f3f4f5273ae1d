"""Training: losses, simulated prompts, the optimiser's recipe and the loop."""
