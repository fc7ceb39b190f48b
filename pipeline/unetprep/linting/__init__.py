"""Checks of labels: files, folders, stores or arrays against rules."""
