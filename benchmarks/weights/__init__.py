"""The weight maps: the kernel against one distance transform and one a cell, and the whole job against a copy."""
