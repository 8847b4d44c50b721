"""Features taken back to the pixels: backprop rules, the stride fix, what they cover, and heatmaps of gradients."""
