"""The report of a run: one HTML page of its classes, features, examples and scores, and the same as data and charts."""
