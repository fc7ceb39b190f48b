"""Where objects lie, whatever they are: a folder, a bucket, anything that fsspec opens."""
