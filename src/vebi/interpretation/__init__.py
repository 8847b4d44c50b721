"""What a classifier has learned: the fit, its result, why these features, and what they look like."""
