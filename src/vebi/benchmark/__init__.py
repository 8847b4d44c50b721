"""Methods x pictures with ground truth x metrics -> a table, with the evidence that it can be trusted."""
