"""Accuracy of trained networks on held-out images."""
