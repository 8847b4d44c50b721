"""Images with ground truth: masks beside images, and flowers that vebi renders itself."""
