"""Numerical kernels: arrays in, arrays out. numpy and numba only; no files, no Dask, no clock, no globals.

The pipeline and the trainer share them.
"""
