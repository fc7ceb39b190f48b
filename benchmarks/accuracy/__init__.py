"""Segmentation accuracy on held-out real images: this project, its ablations and its peers, with equal CPU time."""
