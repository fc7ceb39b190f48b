"""How fast reading, streaming and writing tiles are."""
