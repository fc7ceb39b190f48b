"""Decoding of foreground probabilities into instances, for images of any size. Imports nothing by itself."""
