"""Object storage: a local folder, a bucket, or anything that fsspec opens."""
