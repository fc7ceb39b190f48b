"""TODO previews."""
