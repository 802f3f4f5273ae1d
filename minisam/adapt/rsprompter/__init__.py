"""RSPrompter: a detector that writes prompts for SAM (Chen et al. 2024), and the baselines of its paper."""
