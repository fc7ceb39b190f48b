"""Arrays in, arrays out: the computations themselves. numpy and numba only; no files, no Dask, no clock, no globals.

They are the one part of the pipeline that the trainer may import too.
"""
