"""Numerical kernels: arrays in, arrays out. numpy and numba only; no files, no Dask, no clock, no globals.

They are the one part of the pipeline that the trainer may import too.
"""
