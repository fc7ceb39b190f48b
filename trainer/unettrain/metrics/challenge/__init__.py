"""Metrics of the ISBI 2012 challenge of EM segmentation (Arganda-Carreras et al. 2015), as its own scripts score."""
