"""Readers of image files: one module for each format, listed in `unetprep.sources.formats.table`."""
