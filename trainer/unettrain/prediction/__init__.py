"""Prediction: arrays and files of any size, by overlap tiles."""
