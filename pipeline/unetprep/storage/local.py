"""Storage on a local file system: atomic, durable and shared between processes."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from errno import ENOSYS, ENOTDIR, ENOTSUP, EOPNOTSUPP, EPERM
from pathlib import Path
from uuid import uuid4

from unetprep.storage import atomic
from unetprep.storage.atomic import TEMPORARY, naming, replacing
from unetprep.storage.base import Range, Storage
from unetprep.storage.paths import below, refuse_links
from unetprep.storage.regular_files import open_regular, read_regular
from unetprep.storage.signals import deferred_signals

LINK_TRIES = 3


class LocalStorage(Storage):
    """A folder of this machine.

    Keys that lead out of the folder are refused with InvalidInput. Symbolic links in it are followed for reading only:
    writing or deleting below a linked folder raises PermissionError. A link in place of the file itself is replaced or
    deleted, not followed.
    """

    durable = True

    def __init__(self, path: str) -> None:
        self.root = Path(path)

    def get(self, key: str) -> bytes:
        """A whole file."""
        return read_regular(below(self.root, key))

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[bytes]:
        """Parts of a file."""
        parts = []
        path = below(self.root, key)
        with naming(path), open_regular(path) as file:
            for offset, length in ranges:
                file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
                parts.append(file.read(length))
        return parts

    def put(self, key: str, data: bytes) -> None:
        """Write a temporary file, sync it, and rename it."""
        path = self._to_change(key)
        with replacing(path, _make_folder(path.parent)) as file:
            file.write(data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write a file if it does not exist."""
        path = self._to_change(key)
        with deferred_signals(), naming(path):
            for _ in range(LINK_TRIES):
                with suppress(FileNotFoundError):  # removed by the holder of this folder's lock
                    return self._link_new(path, data)
            return self._link_new(path, data)

    def _to_change(self, key: str) -> Path:
        """Path of an object to be written or deleted, checked for links."""
        path = below(self.root, key)
        if path != self.root:
            refuse_links(self.root, path.parent)
        return path

    def _link_new(self, path: Path, data: bytes) -> bool:
        changed = _make_folder(path.parent)
        partial = path.with_name(f"{TEMPORARY}{uuid4().hex}")
        try:
            _write_new(partial, data)
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (EPERM, ENOSYS, ENOTSUP, EOPNOTSUPP):
                raise
            if not _write_new(path, data):  # the file system has no hard links
                return False
        finally:
            partial.unlink(missing_ok=True)
        for folder in (path.parent, *changed):
            atomic.sync_path(folder)
        return True

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """All files below a folder, except temporary ones."""
        folders = [prefix.rstrip("/")]
        below(self.root, folders[0])
        while folders:
            folder = folders.pop()
            try:
                entries = list(os.scandir(self.root / folder))
            except FileNotFoundError:
                continue
            for entry in entries:
                key = f"{folder}/{entry.name}".lstrip("/")
                if entry.is_dir(follow_symlinks=False):
                    folders.append(key)
                elif not entry.name.startswith(TEMPORARY):
                    with suppress(FileNotFoundError):  # deleted in the meantime, or a dangling link
                        yield key, entry.stat().st_size

    def delete(self, prefix: str) -> None:
        """Delete a file or a folder with its content, and parent folders that are then empty."""
        path = self._to_change(prefix.rstrip("/"))
        is_changed = os.path.lexists(path)
        if path.is_dir() and not (path.is_symlink() and path != self.root):
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        while path != self.root and not (path.parent.is_dir() and any(path.parent.iterdir())):
            path = path.parent
            if path.is_dir():
                is_changed = True
                path.rmdir()
        if is_changed and path.parent.is_dir():
            atomic.sync_path(path.parent)

    def orphaned_temporaries(self, below: bool = True) -> Iterator[str]:
        """Temporary files that were never renamed."""
        for path in (self.root.rglob if below else self.root.glob)(f"{TEMPORARY}*"):
            yield path.relative_to(self.root).as_posix()


def _make_folder(path: Path) -> list[Path]:
    """Create a folder and its parents. Returns the folders that have new entries; the caller syncs them."""
    missing, above = [], path
    while not above.is_dir():
        missing.append(above)
        above = above.parent
        if above.is_file():
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(path))
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
    return [folder.parent for folder in missing]


def _write_new(path: Path, data: bytes) -> bool:
    """Write a file that must not exist. Returns False, changing nothing, if it does. A failed write leaves no file."""
    try:
        file = path.open("xb")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return True
