"""How well heatmaps meet ground truth: one metric a file, each with its range and direction."""
