"""Engine: runs the jobs of a stage on threads, worker processes, Slurm jobs or a Dask cluster."""
