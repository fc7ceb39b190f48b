"""TODO prep."""
