"""Command line `unetprep`: one module for each family of commands, with the text that they print."""
