"""Unpacking of files from a zip archive: streamed, limited in size, verified, and only into a folder."""

import io
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO
from uuid import uuid4

from unetprep.errors import Conflict, Failure
from unetprep.fetching.checking import Checked, check_content, check_file
from unetprep.fetching.data_set import DataFile, Expected
from unetprep.fetching.digests import BLOCK, copy_and_hash
from unetprep.sources.source import DAMAGED_ZIP
from unetprep.storage.atomic import TEMPORARY, naming
from unetprep.storage.paths import below, refuse_links, safe_key

MAX_ENTRIES = 1_000_000
OnBytes = Callable[[int, int], None]
LEFT_OUT = ("__MACOSX", ".DS_Store")  # what macOS adds
MOVE_AWAY = "move it away, or name another --out"


def is_present(folder: Path, file: Expected) -> Checked | None:
    """The check of a file that is in the folder already; None if it is not there.

    Raises Conflict where something else is in its place.
    """
    path = below(folder, file.path)
    refuse_links(folder, path)
    if not path.exists():
        return None
    if not path.is_file():
        raise Conflict(f"{path} is there already, and is no file", hint=MOVE_AWAY)
    checked = check_file(file, path)
    if checked.difference:
        raise Conflict(f"{path} is there already, with another content: {checked.difference}", hint=MOVE_AWAY)
    return checked


def unpack(archive: Path, files: Sequence[DataFile], folder: Path) -> dict[str, Checked]:
    """Unpack files into a folder. All of them are verified before the first is written.

    A file is found by its name in the archive, or else as the only one that ends in "/" and that name.

    Raises Failure where the archive is damaged, or a file is missing, too large, or differs from its manifest.
    """
    with _opened(archive) as opened:
        entries = {file.path: _find(opened, archive, file) for file in files}
        check_space(folder, sum(entry.file_size for entry in entries.values()))
        checked = {file.path: _verify(opened, archive, entries[file.path], file) for file in files}
        for file in files:
            with new_file(folder, file.path) as out:
                _read(opened, archive, entries[file.path], out)
    return checked


def unpack_all(archive: Path, folder: Path, on_bytes: OnBytes = lambda done, total: None) -> int:
    """Unpack all files into a folder; the number of those that were not there yet. macOS's additions are left out.

    A file that is there with the size and the CRC-32 of the archive is kept. `on_bytes` is told the bytes that are
    unpacked, and all that are missing.

    Raises Failure for an archive that is damaged or too large for the disk, InvalidInput for names that leave the
    folder, and Conflict where something else is in the place of a file.
    """
    with _opened(archive) as opened:
        entries = [entry for entry in opened.infolist() if not entry.is_dir() and not _is_left_out(entry.filename)]
        names = [safe_key(entry.filename, f"the names in {archive.name}") for entry in entries]
        if len(entries) > MAX_ENTRIES or len({name.casefold() for name in names}) < len(names):
            raise Failure(f"{archive.name} holds {len(entries)} files, some twice or more than {MAX_ENTRIES}")
        missing = [
            (entry, name)
            for entry, name in zip(entries, names, strict=True)
            if not _is_unpacked(folder, below(folder, name), entry)
        ]
        done, total = 0, sum(entry.file_size for entry, _ in missing)
        check_space(folder, total)
        for entry, name in missing:
            with new_file(folder, name) as out:
                _read(opened, archive, entry, out)
            done += entry.file_size
            on_bytes(done, total)
    return len(missing)


def holds(archive: Path, file: DataFile) -> bool:
    """Whether a file is in the archive. Raises Failure where that is damaged, or holds several of the name."""
    with _opened(archive) as opened:
        return bool(_entries(opened, archive, file))


@contextmanager
def new_file(folder: Path, key: str) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name below the folder when the block ends without an error."""
    path = below(folder, key)
    refuse_links(folder, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{TEMPORARY}{uuid4().hex}")
    with naming(path):
        try:
            with partial.open("xb") as out:
                yield out
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def check_space(folder: Path, needed: int) -> None:
    """Raise Failure if the disk of a folder, which need not exist, has less free space than this, in bytes."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise Failure(
            f"{folder} needs {needed} bytes, and {free} are free", hint="free some space, or name another --out"
        )


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        opened = zipfile.ZipFile(archive)
    except DAMAGED_ZIP as error:
        raise Failure(f"{archive.name} cannot be read: {error}", hint="repeat the command") from error
    with opened:
        yield opened


def _entries(opened: zipfile.ZipFile, archive: Path, file: DataFile) -> list[str]:
    """The name of a file in an archive, in a list; an empty list if it is not there."""
    names = [name for name in opened.namelist() if not _is_left_out(name)]
    found = [name for name in names if name == file.member] or [n for n in names if n.endswith(f"/{file.member}")]
    if len(found) > 1:
        raise Failure(f"{archive.name} holds {file.member} several times: {', '.join(found)}"[:300])
    return found


def _find(opened: zipfile.ZipFile, archive: Path, file: DataFile) -> zipfile.ZipInfo:
    found = _entries(opened, archive, file)
    if not found:
        raise Failure(f"{archive.name} holds no {file.member}")
    entry = opened.getinfo(found[0])
    if entry.file_size > file.max_bytes or (file.sha256 and file.num_bytes not in (None, entry.file_size)):
        raise _wrong_size(archive, file, f"{entry.file_size} bytes")
    return entry


def _verify(opened: zipfile.ZipFile, archive: Path, entry: zipfile.ZipInfo, file: DataFile) -> Checked:
    """Compare a file of an archive with its manifest. Raises Failure if it differs."""
    content = io.BytesIO()
    with _reading(opened, archive, entry) as source:
        if file.sha256 and not file.pixels:
            seen, size = copy_and_hash(source, None, file.max_bytes)
            difference = "" if seen == file.sha256 else f"it has SHA-256 {seen}"
            checked = Checked(seen, difference, not difference)
        else:
            _, size = copy_and_hash(source, content, file.max_bytes)
            content.seek(0)
            checked = check_content(file, content, size)
    if size > file.max_bytes:  # the directory of the archive may state a smaller size
        raise _wrong_size(archive, file, f"more than {file.max_bytes} bytes")
    if checked.difference:
        raise Failure(
            f"{entry.filename} of {archive.name} is not the file of the manifest: {checked.difference}",
            allowed=file.sha256 or "",
        )
    return checked


def _read(opened: zipfile.ZipFile, archive: Path, entry: zipfile.ZipInfo, out: BinaryIO) -> None:
    with _reading(opened, archive, entry) as source:
        shutil.copyfileobj(source, out, BLOCK)


@contextmanager
def _reading(opened: zipfile.ZipFile, archive: Path, entry: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    try:
        with opened.open(entry) as source:
            yield source
    except DAMAGED_ZIP as error:
        raise Failure(f"{entry.filename} of {archive.name} cannot be unpacked: {error}") from error


def _is_unpacked(folder: Path, path: Path, entry: zipfile.ZipInfo) -> bool:
    refuse_links(folder, path)
    if not path.exists():
        return False
    if not path.is_file():
        raise Conflict(f"{path} is there already, and is no file", hint=MOVE_AWAY)
    if path.stat().st_size == entry.file_size and _crc(path) == entry.CRC:
        return True
    raise Conflict(f"{path} is there already, with another content than in the archive", hint=MOVE_AWAY)


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            crc = zlib.crc32(block, crc)
    return crc


def _is_left_out(name: str) -> bool:
    return any(part in LEFT_OUT for part in name.split("/"))


def _wrong_size(archive: Path, file: DataFile, seen: str) -> Failure:
    if file.num_bytes is not None:
        return Failure(f"{file.member} of {archive.name} has {seen}", allowed=f"{file.num_bytes}, as bytes states")
    return Failure(
        f"{file.member} of {archive.name} has {seen}",
        allowed=f"up to {file.max_bytes} bytes, where the manifest does not state them",
        hint="if that is right, state it in the manifest: bytes = N",
    )
