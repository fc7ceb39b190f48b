"""Streaming of batches: sampler, batch builders, prefetcher, and the stream itself."""
