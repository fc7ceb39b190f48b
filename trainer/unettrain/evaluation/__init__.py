"""Evaluation of a prediction against labels, given as files or as arrays."""
