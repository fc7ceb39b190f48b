"""Handlers of SIGINT and SIGTERM, from the first import of a command to the end of its process.

SIGTERM ends a command with exit code 75, SIGINT (Ctrl-C) with 130. While it works, both raise an exception in the main
thread. Before that, and once its exit code is decided, there is nothing to clean up, and both end the process at once.
"""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from unetprep.errors import Stopped

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers

STOPPED, INTERRUPTED = 75, 130
CODES = {signal.SIGTERM: STOPPED, signal.SIGINT: INTERRUPTED}

_received: list[int] = []  # signals since the command began
_decided: list[int] = []  # the exit code that an error message was given with
_owns_process = False  # whether this process was started as a command, not by a program that calls one


def received() -> int | None:
    """The exit code that the last signal asks for, None if none arrived since the command began."""
    return CODES[signal.Signals(_received[-1])] if _received else None


def check() -> None:
    """Raise the exception of a signal that arrived, where a library has swallowed it."""
    if _received:
        _raise(_received[-1], None)


def decide(code: int) -> None:
    """Make `code` the exit code, whatever signals arrive from now on."""
    _decided.append(code)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt and Stopped in the main thread until the block ends."""
    _received.clear()
    _decided.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handling(signal.SIGTERM), _handling(signal.SIGINT):
        yield


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the process at once: for imports, whose libraries turn exceptions into others."""
    if not _owns_process:
        yield
        return
    before = {number: _install(number, _leave_now) for number in CODES}
    try:
        yield
    finally:
        for number, handler in before.items():
            _restore(number, handler)


def begin() -> None:
    """Take over this process: from now on a signal ends it with its exit code and a short message."""
    global _owns_process
    _owns_process = True
    atexit.register(_ignore)  # registered first, called last: what follows takes no time and has no handlers
    for number in CODES:
        _install(number, _leave_now)


def work() -> None:
    """From now on a signal raises an exception."""
    for number in CODES:
        _install(number, _raise)


def end(code: int) -> NoReturn:
    """End the process with `code`, or with that of a message or a signal; at once if another signal arrives."""
    final = _decided[-1] if _decided else code if code == 0 else received() or code

    def leave(signum: int, frame: FrameType | None) -> NoReturn:
        os._exit(final)

    for number in CODES:
        _install(number, leave)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    sys.exit(final)


@contextmanager
def _handling(number: signal.Signals) -> Iterator[None]:
    before = _install(number, _raise)
    try:
        yield
    finally:
        _restore(number, before)


def _install(number: signal.Signals, handler: Handler) -> Handler | None:
    """Install a handler and return the one before. A signal that whoever started us lets us ignore stays ignored."""
    before = signal.getsignal(number)
    if before not in (signal.SIG_IGN, None):
        signal.signal(number, handler)
    return before


def _restore(number: signal.Signals, handler: Handler | None) -> None:
    if handler is not None:  # None: installed by other code than Python
        signal.signal(number, handler)


def _raise(signum: int, frame: FrameType | None) -> NoReturn:
    _received.append(signum)
    raise Stopped if signum == signal.SIGTERM else KeyboardInterrupt


def _leave_now(signum: int, frame: FrameType | None) -> NoReturn:
    os.write(2, b"error: stopped before it began\n")
    os._exit(CODES[signal.Signals(signum)])


def _ignore() -> None:
    for number in CODES:
        signal.signal(number, signal.SIG_IGN)
