"""What is claimed of speed and memory, measured: `make bench` runs it and writes the JSON that the docs quote."""
