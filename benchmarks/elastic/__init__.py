"""How fast deformation and augmentation are."""
