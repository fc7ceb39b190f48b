"""A file that is being downloaded: under a temporary name, with what is needed to resume it in a later process.

    .partial-NAME        the first bytes of the file
    .partial-NAME.json   its URL, and the validator (ETag or Last-Modified) of the file that the bytes are from

The first is locked (flock) while a process writes it, and gets its name when the download is complete.
"""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType

from unetprep.errors import Conflict
from unetprep.fetching.checking import Checked, check_content
from unetprep.fetching.data_set import Expected
from unetprep.storage.atomic import TEMPORARY, naming, sync_path
from unetprep.storage.paths import below, refuse_links
from unetprep.storage.regular_files import read_regular

MAX_RECORD_BYTES = 2**16


class Partial:
    """The part of a file that has been downloaded. `size` is its number of bytes.

    `validator` identifies the file of the server that the bytes are from; "" if the server gave none. A part is kept
    when a process ends only if it `can_be_resumed`: if it has a validator, or the SHA-256 of the whole is known.
    `is_joined` says that bytes of another request were appended to it.

    Raises Conflict if another process downloads the file.
    """

    def __init__(self, folder: Path, expected: Expected) -> None:
        self.expected, self.path = expected, below(folder, expected.path)
        refuse_links(folder, self.path)
        self._part = self.path.with_name(f"{TEMPORARY}{self.path.name}")
        self._record = self._part.with_name(f"{self._part.name}.json")
        refuse_links(folder, self._part)
        refuse_links(folder, self._record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with naming(self.path):
            self._file = _open_locked(self._part)
        self.size = os.fstat(self._file).st_size
        self.is_joined = False
        self.validator = self._read_validator()
        if not self.can_be_resumed:
            self.begin("")

    def __enter__(self) -> "Partial":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.size or not self.can_be_resumed:
            self._remove()
        os.close(self._file)

    @property
    def can_be_resumed(self) -> bool:
        """Whether the rest can be asked of the server, and a part of another file would be noticed."""
        return bool(self.validator or self.expected.sha256)

    def begin(self, validator: str) -> None:
        """Drop what there is, and begin with a file of this validator."""
        with naming(self.path):
            os.ftruncate(self._file, 0)
            self._record.write_text(json.dumps({"url": self.expected.url, "validator": validator}))
        self.size, self.validator, self.is_joined = 0, validator, False

    def append(self, block: bytes) -> None:
        """Write the next bytes."""
        view = memoryview(block)
        with naming(self.path):
            while view:
                written = os.pwrite(self._file, view, self.size)
                self.size += written
                view = view[written:]

    def check(self) -> Checked:
        """Compare the whole with the manifest."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            return check_content(self.expected, file, self.size)

    def commit(self) -> None:
        """Sync the whole to disk, and give it its name."""
        with naming(self.path):
            os.fsync(self._file)
            self._part.replace(self.path)
            self._record.unlink(missing_ok=True)
            sync_path(self.path.parent)

    def _remove(self) -> None:
        if _is_open_file(self._file, self._part):  # not once it has its name
            self._part.unlink(missing_ok=True)
            self._record.unlink(missing_ok=True)

    def _read_validator(self) -> str:
        """The validator on record for this URL; without a record, what there is is dropped."""
        try:
            record = json.loads(read_regular(self._record, MAX_RECORD_BYTES))
            if record["url"] == self.expected.url and isinstance(record["validator"], str):
                return str(record["validator"])
        except (OSError, ValueError, LookupError, TypeError):
            pass
        self.begin("")
        return ""


def _open_locked(path: Path) -> int:
    """A descriptor of a file that is locked by this process. The file is created if it is not there."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise Conflict(f"another process downloads {path}", hint="wait for it, or name another --out") from None
        if _is_open_file(file, path):
            return file
        os.close(file)  # another process has completed or dropped it in the meantime


def _is_open_file(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False
