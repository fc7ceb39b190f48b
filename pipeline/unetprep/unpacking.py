"""Unpacking of members of a zip archive: streamed, limited in size, verified, and only into a folder."""

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO
from uuid import uuid4

from unetprep.errors import Conflict, Failure
from unetprep.storage.atomic import TEMPORARY
from unetprep.storage.paths import below, refuse_links
from unetprep.storage.regular_files import open_regular

BLOCK = 2**20  # bytes
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)  # what zipfile raises


@dataclass(frozen=True)
class Member:
    """A file of an archive, and where it belongs below the output folder.

    `num_bytes` is its exact size, None where that is unknown; it is never unpacked beyond `max_bytes`.
    """

    name: str
    path: str
    sha256: str
    num_bytes: int | None
    max_bytes: int


def is_present(folder: Path, member: Member) -> bool:
    """Whether the file is in the folder already. Raises Conflict where something else is in its place."""
    path = below(folder, member.path)
    refuse_links(folder, path)
    if not path.exists():
        return False
    if not path.is_file():
        raise Conflict(f"{path} is there already, and is no file", hint="move it away, or name another --out")
    with open_regular(path) as file:
        if member.num_bytes in (None, path.stat().st_size):
            digest, _ = _copy(file, None, member.max_bytes)
            if digest == member.sha256:
                return True
    raise Conflict(f"{path} is there already, with another content", hint="move it away, or name another --out")


def unpack(archive: Path, members: Sequence[Member], folder: Path) -> None:
    """Unpack members into a folder. All of them are verified before the first is written.

    Raises Failure where the archive is damaged, or a member is missing, too large, or differs from its checksum.
    """
    _check_space(archive, members, folder)
    for member in members:
        _verify(archive, member, None)
    for member in members:
        path = below(folder, member.path)
        refuse_links(folder, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{TEMPORARY}{uuid4().hex}")
        try:
            with partial.open("xb") as out:
                _verify(archive, member, out)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _check_space(archive: Path, members: Sequence[Member], folder: Path) -> None:
    """Check the sizes in the archive's directory against the free space; `_copy` enforces the limits in any case.

    Raises Failure.
    """
    needed = sum(_declared_bytes(archive, member) for member in members)
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise Failure(
            f"{folder} needs {needed} bytes, and {free} are free", hint="free some space, or name another --out"
        )


def _declared_bytes(archive: Path, member: Member) -> int:
    try:
        with zipfile.ZipFile(archive) as opened:
            size = opened.getinfo(member.name).file_size
    except KeyError:
        raise Failure(f"{archive.name} holds no {member.name}") from None
    except DAMAGED as error:
        raise Failure(f"{archive.name} cannot be read: {error}", hint="repeat the command") from error
    if size > member.max_bytes or (member.num_bytes is not None and size != member.num_bytes):
        raise _wrong_size(archive, member, f"{size} bytes")
    return size


def _verify(archive: Path, member: Member, out: BinaryIO | None) -> None:
    """Unpack a member to `out`, if any. Raises Failure if it is too large or differs from its checksum."""
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member.name) as source:
            digest, size = _copy(source, out, member.max_bytes)
    except DAMAGED as error:
        raise Failure(f"{member.name} of {archive.name} cannot be unpacked: {error}") from error
    if size > member.max_bytes:
        raise _wrong_size(archive, member, f"more than {member.max_bytes} bytes")
    if digest != member.sha256:
        raise Failure(f"{member.name} of {archive.name} has SHA-256 {digest}", allowed=member.sha256)


def _copy(source: BinaryIO | IO[bytes], out: BinaryIO | None, max_bytes: int) -> tuple[str, int]:
    """SHA-256 and size of `source`, which is copied to `out`, if any; stops behind `max_bytes`."""
    digest, size = hashlib.sha256(), 0
    while size <= max_bytes and (block := source.read(BLOCK)):
        digest.update(block)
        size += len(block)
        if out is not None:
            out.write(block)
    return digest.hexdigest(), size


def _wrong_size(archive: Path, member: Member, seen: str) -> Failure:
    if member.num_bytes is not None:
        return Failure(f"{member.name} of {archive.name} has {seen}", allowed=f"{member.num_bytes}, as bytes states")
    return Failure(
        f"{member.name} of {archive.name} has {seen}",
        allowed=f"up to {member.max_bytes} bytes, where the manifest does not state them",
        hint="if that is right, state it in the manifest: bytes = N",
    )
