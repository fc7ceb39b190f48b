"""What is released: the files of the wheel, installations of it, and versions of Python and of the dependencies."""
