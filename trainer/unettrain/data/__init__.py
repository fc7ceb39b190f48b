"""Reading of a store: tiles, fields and images, their chunks, and intensity scaling."""
