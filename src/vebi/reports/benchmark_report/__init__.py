"""The results of a benchmark: their rows, the page and the text."""
