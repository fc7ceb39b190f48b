"""Atomic replacement of local files: a reader sees the old content or the new one, never a part of either."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from unetprep.storage.signals import deferred_signals

TEMPORARY = ".partial-"  # prefix of the names of files that are being written


@contextmanager
def replacing(path: str | Path, changed: Sequence[Path] = ()) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` for writing; when the block ends it is synced and replaces `path`.

    `changed` are folders with new entries above `path`. They are synced after the file, whose sync has made a
    journaling file system write them too, and before the file gets its name.

    If the block raises, the temporary file is removed and `path` stays as it is. SIGINT and SIGTERM are deferred
    until the end. An OSError names `path`. A process that is killed leaves the temporary file, whose name begins with
    `TEMPORARY`; whoever next holds the lock of the directory removes it (`lock.locked`).
    """
    path = Path(path)
    with deferred_signals(), naming(path):
        partial = path.with_name(f"{TEMPORARY}{uuid4().hex}")
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            for folder in changed:
                sync_path(folder)
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_path(path.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError that names no file, or only a temporary one, name `path`: a failed write says no name itself."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or TEMPORARY in str(error.filename)):
            error.filename = str(path)
            del error.filename2
        raise


def sync_path(path: Path) -> None:
    """Wait until the content of a file, or the entries of a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
