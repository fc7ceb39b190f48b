"""Opening of regular files only: a named pipe, socket or device would block its reader, or never end."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from unetprep.errors import InvalidInput

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def refuse_special(path: str | Path) -> None:
    """Raise InvalidInput if `path` is a named pipe, a socket or a device; symbolic links are followed.

    Missing or inaccessible files are not reported here, but by the function that opens them.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # a null character in a path is a ValueError
        return
    _refuse(path, mode)


def open_regular(path: str | Path, *, buffering: int = -1) -> BinaryIO:
    """Open a regular file for reading. Raises InvalidInput for a special file, without waiting for its writer."""
    return open(path, "rb", buffering=buffering, opener=_open_regular)


def read_regular(path: str | Path, max_bytes: int | None = None) -> bytes:
    """Return the bytes of a regular file. Raises InvalidInput for a special file or one of more than `max_bytes`."""
    with open_regular(path) as file:
        if max_bytes is None:
            return file.read()
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise InvalidInput(f"{path} is too large for what it should be", allowed=f"up to {max_bytes} bytes")
    return data


def _open_regular(path: str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        refuse_special(path)  # a socket cannot be opened at all
        raise
    try:
        _refuse(path, os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse(path: str | Path, mode: int) -> None:
    kind = KINDS.get(stat.S_IFMT(mode))
    if kind:
        raise InvalidInput(
            f"{path} is {kind}", allowed="a regular file", hint="write what it gives to a file, and name that"
        )
