"""Comparison of the running code with the paper and the authors' 2015 release, line by line."""
