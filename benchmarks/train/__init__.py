"""What the documents claim of the training: the recipe, the speed of its steps, decoding and prediction."""
