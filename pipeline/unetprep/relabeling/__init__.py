"""Updates of a finished store after its labels were edited."""
