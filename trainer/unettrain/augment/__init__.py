"""Augmentation: sampling of parameters, and their application on the CPU and on a GPU."""
