"""TODO linting."""
