"""The store's format on disk, shared by the pipeline that writes it and the trainer that reads it."""
