"""Exit codes, and the translation of errors to exit codes and messages."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

import unetprep.errors
import unettrain.errors
from unetcli import stopping
from unetcli.stopping import INTERRUPTED, STOPPED
from unetcli.system_errors import describe_memory_error, describe_os_error, is_memory_error
from unetprep.credentials import mask_credentials
from unettrain.errors import is_reported_elsewhere

FAILURE, INVALID, CONFLICT = 1, 3, 4  # 0 is done; 2, wrong usage, is click's own; 75 and 130 are signals

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


FROM_THE_BEGINNING = "the same command starts from the beginning"


@contextmanager
def exit_codes(verbose: bool = False, when_repeated: str = FROM_THE_BEGINNING) -> Iterator[None]:
    """Turn an expected error, SIGINT or SIGTERM into one message on stderr and an exit code.

    `when_repeated` says what the command does when it is repeated after it was stopped. Unexpected exceptions pass,
    unless a signal arrived: libraries may turn its exception into another.
    """
    try:
        with stopping.stoppable():
            yield
    except KeyboardInterrupt as stop:
        stopped = STOPPED if isinstance(stop, unetprep.errors.Stopped) else INTERRUPTED
        if is_reported_elsewhere(stop):
            _leave_silently(stopped)
        _stop(stopped, when_repeated)
    except Exception as error:
        code = _code_of(error)
        if verbose and (code or stopping.received()):
            click.echo(mask_credentials(traceback.format_exc()), err=True)
        if code is None:
            if stopping.received() is None:
                raise
            _stop(stopping.received() or STOPPED, when_repeated)
        if is_reported_elsewhere(error):
            _leave_silently(code)
        _leave(_say(error), code)


def _code_of(error: Exception) -> int | None:
    """The exit code of an error; None if the error is unexpected."""
    if isinstance(error, ImportError) and stopping.received():
        return None
    code = next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), None)
    return FAILURE if code is None and is_memory_error(error) else code


def _stop(code: int, when_repeated: str) -> NoReturn:
    _leave(f"stopped; {when_repeated}", code)


def _say(error: Exception) -> str:
    context = click.get_current_context(silent=True)
    command = context.info_name if context else None
    if is_memory_error(error):
        return describe_memory_error(error, command or "")
    if isinstance(error, ImportError):
        return f"{error}\n  to do:   pip install 'unetprep[all]', or only [prep] or [train]"
    return describe_os_error(error) if isinstance(error, OSError) else str(error)


def _leave_silently(code: int) -> NoReturn:
    stopping.decide(code)
    raise SystemExit(code)


def _leave(message: str, code: int) -> NoReturn:
    stopping.decide(code)
    click.echo(f"{click.style('error:', fg='red', bold=True)} {mask_credentials(message)}", err=True)
    raise SystemExit(code)
