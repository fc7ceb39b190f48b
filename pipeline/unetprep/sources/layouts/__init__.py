"""Layouts of data sets: which files of a folder are images and labels, and which belong together."""
