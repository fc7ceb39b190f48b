"""Intensity ranges: rules compared on images, and what a hot pixel does to a prediction."""
