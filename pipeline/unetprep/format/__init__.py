"""Format of the store on disk, shared by the pipeline, which writes it, and the trainer, which reads it."""
