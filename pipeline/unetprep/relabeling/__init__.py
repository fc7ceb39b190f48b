"""TODO relabeling."""
