"""Activations of named layers, recorded while a network runs, and the descriptors and tables that are made of them."""
