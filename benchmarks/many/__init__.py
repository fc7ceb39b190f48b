"""Many small images, and one large one: whole commands beside plain scripts and nnU-Net."""
