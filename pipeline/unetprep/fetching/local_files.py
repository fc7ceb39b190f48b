"""Files of a data set that the user has already: found in a folder and its zip archives by name or digest, and copied.

They are copied, not linked: who edits the labels of the data set must not edit the download.
"""

import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from unetprep.errors import Failure, InvalidInput
from unetprep.fetching.checking import Checked, check_file
from unetprep.fetching.data_set import DataFile, Expected
from unetprep.fetching.digests import copy_and_hash
from unetprep.fetching.unpacking import new_file, unpack
from unetprep.sources.source import DAMAGED_ZIP
from unetprep.storage.regular_files import open_regular

MAX_FILES = 100_000
ZIPS = (".zip", ".whl")


class LocalFiles:
    """The files of a folder and its subfolders. `rejected` says of files with the right name how they differ.

    Raises InvalidInput if it is not a folder, or holds too many files to search.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not os.fspath(folder) or not os.path.isdir(folder):
            raise InvalidInput(f"--from is {str(folder)!r}, which is not a folder", allowed="the folder with the files")
        self.folder, self.rejected = Path(folder), dict[Path, str]()
        self._paths = list(_files(self.folder))

    def take(self, expected: Expected, out: Path) -> tuple[Path, Checked] | None:
        """Copy a file into the output folder; where it was found, and its check. None if it is not there.

        First come the files of its name, then those of archives, then files of any name with its digest.
        """
        for path in self._named(expected):
            if checked := self._check(expected, path):
                return path, _copy(path, checked, expected, out)
        if isinstance(expected, DataFile):
            for archive in self._archives:
                if checked := self._take_from(archive, expected, out):
                    return archive, checked
        if expected.sha256 or expected.pixels:
            for path in self._alike(expected):
                with suppress(PermissionError):  # a file of another name that the user may not read is none of these
                    if not (checked := check_file(expected, path)).difference:
                        return path, _copy(path, checked, expected, out)
        return None

    def _named(self, expected: Expected) -> list[Path]:
        """Files of the name, first those whose folders have the right names too."""
        names = _names(expected)
        found = [path for path in self._paths if path.name in names]
        return sorted(found, key=lambda path: not path.as_posix().endswith(f"/{expected.path}"))

    def _check(self, expected: Expected, path: Path) -> Checked | None:
        checked = check_file(expected, path)
        if not checked.difference:
            return checked
        self.rejected[path] = checked.difference
        return None

    def _alike(self, expected: Expected) -> list[Path]:
        """Files of another name that may have the content: those of the ending and, where it is known, of the size."""
        ending = PurePosixPath(expected.path).suffix.lower()
        alike = [path for path in self._paths if path.suffix.lower() == ending and path not in self.rejected]
        if expected.num_bytes is None or expected.pixels:
            return alike
        return [path for path in alike if path.stat().st_size == expected.num_bytes]

    @cached_property
    def _archives(self) -> list[Path]:
        return [path for path in self._paths if path.suffix.lower() in ZIPS and zipfile.is_zipfile(path)]

    def _take_from(self, archive: Path, file: DataFile, out: Path) -> Checked | None:
        for member in _members(archive, file):
            wanted = DataFile(file.path, member, sha256=file.sha256, pixels=file.pixels, num_bytes=file.num_bytes)
            try:
                return unpack(archive, [wanted], out)[file.path]
            except Failure as error:
                self.rejected[archive / member] = error.problem
        return None


def _files(folder: Path) -> Iterator[Path]:
    count = 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file():
                count += 1
                if count > MAX_FILES:
                    raise InvalidInput(f"--from {folder} holds over {MAX_FILES} files", hint="name a smaller folder")
                yield path


def _names(expected: Expected) -> set[str]:
    """Names under which a file may lie: its own, and the one that a browser gives it."""
    member = expected.member if isinstance(expected, DataFile) else ""
    remote = unquote(urlsplit(expected.url).path)
    return {PurePosixPath(name).name for name in (expected.path, member, remote) if name}


def _members(archive: Path, file: DataFile) -> list[str]:
    """Entries of an archive that may be the file: those of its name, or of its size where a SHA-256 decides."""
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    except DAMAGED_ZIP:
        return []
    names = _names(file)
    named = [entry.filename for entry in entries if PurePosixPath(entry.filename).name in names]
    sized = [entry.filename for entry in entries if file.sha256 and entry.file_size == file.num_bytes]
    return list(dict.fromkeys(named + sized))


def _copy(path: Path, checked: Checked, expected: Expected, out: Path) -> Checked:
    with open_regular(path) as source, new_file(out, expected.path) as copy:
        seen, _ = copy_and_hash(source, copy, expected.max_bytes)
        if seen != checked.sha256:
            raise Failure(f"{path} was changed while it was copied", hint="repeat the command")
    return checked
