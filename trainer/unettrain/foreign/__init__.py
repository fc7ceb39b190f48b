"""Import of the weights of other U-Nets, by the order and the shapes of their tensors."""
