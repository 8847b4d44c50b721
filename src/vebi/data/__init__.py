"""Images in: files, folders and data sets as collections of labelled images, and batches of them."""
