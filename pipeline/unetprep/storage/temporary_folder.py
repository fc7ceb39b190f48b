"""Temporary folders that a later process removes if their own process was killed.

A process holds a lock (flock) on each of its temporary folders, which the operating system releases when the process
ends. A folder whose lock can be taken is abandoned. Folder names contain the host, since locks of another host may not
be visible on a network file system.
"""

import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

PREFIX = f".unfinished-output-{sha256(platform.node().encode()).hexdigest()[:8]}-"  # of this host
# Not `storage.TEMPORARY`, whose files are removed with the lock of a store or a run.
LOCK = "lock"


@dataclass(frozen=True)
class TemporaryFolder:
    """A temporary folder with one folder for new files and one for the files they replace."""

    path: Path

    @property
    def new(self) -> Path:
        """Files that are being written."""
        return self.path / "new"

    @property
    def old(self) -> Path:
        """Files that are being replaced; `remove_leftovers` puts them back."""
        return self.path / "old"


@contextmanager
def temporary_folder(parent: Path) -> Iterator[TemporaryFolder]:
    """A temporary folder in `parent`, locked and then removed by this process."""
    lock = None
    while lock is None:  # before it is locked, another process may remove it as abandoned
        folder = TemporaryFolder(Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)))
        lock = _lock_new(folder.path)
    try:
        folder.new.mkdir()
        folder.old.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)
        os.close(lock)


def can_lock(folder: Path) -> bool:
    """Whether files in an existing folder can be locked with flock. Leaves a file in it."""
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


def remove_leftovers(parent: Path) -> None:
    """Remove the temporary folders in `parent` of killed processes of this host.

    Files that such a process had moved aside and not yet replaced are restored. Folders that cannot be removed are
    skipped.
    """
    with suppress(OSError):
        for entry in list(os.scandir(parent)):
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                with suppress(OSError):
                    _remove_abandoned(TemporaryFolder(Path(entry.path)))


def _remove_abandoned(folder: TemporaryFolder) -> None:
    try:
        lock = os.open(folder.path / LOCK, os.O_RDWR)
    except FileNotFoundError:
        folder.path.rmdir()  # only if empty; a process that was about to lock it makes another one
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises OSError if its process is alive, or without locks
        for old in folder.old.iterdir() if folder.old.is_dir() else ():
            place = folder.path.parent / old.name
            if not os.path.lexists(place):
                os.rename(old, place)
        shutil.rmtree(folder.path)
    finally:
        os.close(lock)


def _lock_new(folder: Path) -> int | None:
    """An open file that holds the lock of a new folder; None if another process has removed the folder or is about to.

    On a file system without locks the folder is used too, and never removed by another process.
    """
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.fstat(lock).st_nlink > 0
    except BlockingIOError:
        is_ours = False
    except OSError:
        is_ours = True
    if not is_ours:
        os.close(lock)
        return None
    return lock
