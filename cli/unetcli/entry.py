"""Entry points of the two commands. Signals are handled before anything that takes time is imported."""

import gc
import sys
from importlib import import_module
from typing import NoReturn

from unetcli import stopping

OBJECTS_A_COLLECTION = 50_000


def unetprep() -> NoReturn:
    """Run the command `unetprep`."""
    # An import of ten thousand files makes many objects that live on. Looking for cycles among them again and again
    # took a fourth of the time of an import that finds nothing to do.
    gc.set_threshold(OBJECTS_A_COLLECTION, 20, 20)
    run("unetcli.prep.main")


def unettrain() -> NoReturn:
    """Run the command `unettrain`."""
    run("unetcli.train.main")


def run(module: str) -> NoReturn:
    """Run the `main` of a module as the command of this process, and end the process."""
    stopping.begin()
    main = import_module(module).main
    try:
        stopping.work()
        main()
        code = 0
    except SystemExit as leaving:
        code = _code_of(leaving)
    except KeyboardInterrupt:
        code = stopping.INTERRUPTED
    stopping.end(code)


def _code_of(leaving: SystemExit) -> int:
    if isinstance(leaving.code, int):
        return leaving.code
    if leaving.code is not None:
        print(leaving.code, file=sys.stderr)
    return 0 if leaving.code is None else 1
