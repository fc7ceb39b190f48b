"""Measurements of the metrics."""
