"""The model under study: a module with its preprocessing, class names and scores, and where it comes from."""
