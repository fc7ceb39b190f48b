"""`python -m unettrain`: the command `unettrain`, for launchers such as torchrun, which start modules.

The trainer knows nothing of the command line, except here, by name and only when it is started as a command.
"""

from importlib import import_module

if __name__ == "__main__":
    import_module("unetcli.entry").unettrain()
