"""Storage on any file system that fsspec opens (`memory://`, `sftp://`, ...)."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from uuid import uuid4
from zipfile import BadZipFile

import fsspec
from zarr.abc.store import Store as ZarrStore
from zarr.storage import FsspecStore

from unetprep.errors import InvalidInput
from unetprep.storage.atomic import TEMPORARY
from unetprep.storage.base import Range, Remote
from unetprep.storage.paths import safe_key

_looking = Lock()


class FsspecStorage(Remote):
    """Files on a file system of fsspec (`memory://`, `sftp://`, ...), written under a temporary name and renamed.

    `put_if_absent` checks before it writes: safe among the threads of a process, not between machines.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError, TypeError, OSError, BadZipFile) as error:
            raise InvalidInput(f"{url} cannot be opened: {error}") from error
        self._root = str(root).rstrip("/")

    def __reduce__(self) -> tuple[type["FsspecStorage"], tuple[str]]:
        return FsspecStorage, (self.url,)

    def get(self, key: str) -> bytes:
        """A whole file."""
        with self.errors("read", key):
            return bytes(self._files.cat_file(self._path(key)))

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[bytes]:
        """Parts of a file."""
        parts = []
        with self.errors("read", key), self._files.open(self._path(key), "rb") as file:
            for offset, length in ranges:
                file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
                parts.append(bytes(file.read(length)))
        return parts

    def put(self, key: str, data: bytes) -> None:
        """Write a temporary file and rename it."""
        path = self._path(key)
        folder = path.rpartition("/")[0]
        partial = f"{folder}/{TEMPORARY}{uuid4().hex}"
        with self.errors("write", key):
            self._files.makedirs(folder, exist_ok=True)
            try:
                self._files.pipe_file(partial, data)
                self._files.mv(partial, path)
            except BaseException:
                with suppress(OSError):
                    self._files.rm_file(partial)
                raise

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write a file if it does not exist."""
        with _looking:
            if self._files.exists(self._path(key)):
                return False
            self.put(key, data)
            return True

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """All files below a folder, except temporary ones."""
        folder = self._path(prefix.rstrip("/"))
        with self.errors("list", prefix):
            try:
                self._files.invalidate_cache()
                found = self._files.find(folder, detail=True)
            except FileNotFoundError:
                return
        for path, about in found.items():
            if not path.rpartition("/")[2].startswith(TEMPORARY) and path != folder:
                yield path.removeprefix(f"{self._root}/"), int(about["size"])

    def delete(self, prefix: str) -> None:
        """Delete a file or a folder with its content."""
        with self.errors("delete", prefix), suppress(FileNotFoundError):
            self._files.rm(self._path(prefix.rstrip("/")), recursive=True)

    def stat(self, key: str) -> tuple[int, str]:
        """Size of a file in bytes, and its date."""
        with self.errors("read", key):
            about = self._files.info(self._path(key))
            return int(about["size"] or 0), str(about.get("mtime") or about.get("created") or about.get("modified"))

    def read_part(self, key: str, offset: int, length: int) -> tuple[bytes, str]:
        """A part of a file, and the tag of `stat` afterwards."""
        (data,) = self.get_ranges(key, [(offset, length)])
        return data, self.stat(key)[1]

    def children(self) -> list[str]:
        """Names directly below the root."""
        with self.errors("list"):
            return [path.rstrip("/").rpartition("/")[2] for path in self._files.ls(self._root, detail=False)]

    def orphaned_temporaries(self, below: bool = True) -> Iterator[str]:
        """Temporary files that were never renamed."""
        with self.errors("list"):
            try:
                self._files.invalidate_cache()
                found = self._files.find(self._root, maxdepth=None if below else 1)
            except FileNotFoundError:
                return
        for path in found:
            if path.rpartition("/")[2].startswith(TEMPORARY):
                yield path.removeprefix(f"{self._root}/")

    def zarr_store(self) -> ZarrStore:
        """The root for zarr, for reading."""
        return FsspecStore.from_url(self.url, read_only=True)

    def _path(self, key: str) -> str:
        return f"{self._root}/{safe_key(key, self.url)}" if key else self._root

    @contextmanager
    def errors(self, verb: str, key: str = "") -> Iterator[None]:
        """Translate errors so that they name the file, which not every file system does."""
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self.place(key)} is not there") from error
        except PermissionError as error:
            raise PermissionError(f"cannot {verb} {self.place(key)}: {error}") from error
