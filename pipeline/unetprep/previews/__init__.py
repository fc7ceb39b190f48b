"""Previews: figures of weight maps and of deformation fields, with the data that they show."""
