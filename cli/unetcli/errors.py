"""Exit codes, and the one place that turns an error into one."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

import unetprep.errors
import unettrain.errors

FAILURE, INVALID, CONFLICT, INTERRUPTED = 1, 3, 4, 130  # 0 is done; 2, wrong usage, is click's own

EXIT_CODES: dict[type[Exception], int] = {
    unetprep.errors.InvalidInput: INVALID,
    unetprep.errors.Conflict: CONFLICT,
    unetprep.errors.UnetprepError: FAILURE,
    unettrain.errors.InvalidInput: INVALID,
    unettrain.errors.Conflict: CONFLICT,
    unettrain.errors.UnettrainError: FAILURE,
    ImportError: FAILURE,
    OSError: FAILURE,
}


@contextmanager
def exit_codes(verbose: bool = False) -> Iterator[None]:
    """Let an expected error end the program with one message on stderr and its exit code."""
    try:
        yield
    except tuple(EXIT_CODES) as error:
        if verbose:
            click.echo(traceback.format_exc(), err=True)
        code = next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
        _leave(_say(error), code)
    except KeyboardInterrupt:
        _leave("stopped; the same command goes on from here", INTERRUPTED)


def _say(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{error}\n  to do:   pip install 'unetprep[all]', or only [prep] or [train]"
    return str(error)


def _leave(message: str, code: int) -> NoReturn:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)
    sys.exit(code)
