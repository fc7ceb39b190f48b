"""TODO estimate."""
