"""Labels drawn from outlines in annotation files."""
