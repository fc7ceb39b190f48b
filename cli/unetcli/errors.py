"""Exit codes, and the one place that turns an error into one."""

import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

import unetprep.errors
import unettrain.errors

FAILURE, INVALID, CONFLICT, STOPPED, INTERRUPTED = 1, 3, 4, 75, 130  # 0 is done; 2, wrong usage, is click's own

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
def exit_codes(verbose: bool = False, is_resumed: bool = False) -> Iterator[None]:
    """Let an expected error, or the wish that it end, end the program with one message on stderr and its exit code.

    `is_resumed` says whether the command, if repeated, continues where it was stopped.
    """
    try:
        with _stoppable():
            yield
    except tuple(EXIT_CODES) as error:
        if verbose:
            click.echo(traceback.format_exc(), err=True)
        code = next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
        _leave(_say(error), code)
    except KeyboardInterrupt as stop:
        asked = isinstance(stop, unetprep.errors.Stopped)
        then = "goes on from here" if is_resumed else "starts from the beginning"
        _leave(f"stopped; the same command {then}", STOPPED if asked else INTERRUPTED)


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM becomes an exception in the main thread, as SIGINT does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> NoReturn:
        raise unetprep.errors.Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{error}\n  to do:   pip install 'unetprep[all]', or only [prep] or [train]"
    return str(error)


def _leave(message: str, code: int) -> NoReturn:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)
    sys.exit(code)
