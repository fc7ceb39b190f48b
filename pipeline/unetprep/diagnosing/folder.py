"""The folder for stores and runs: its free space, and whether its file system does what durable writing needs."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from unetprep.diagnosing.check import FAULT, NOTE, OK, Check
from unetprep.params import format_bytes
from unetprep.storage.atomic import TEMPORARY, replacing
from unetprep.storage.local import LocalStorage
from unetprep.storage.temporary_folder import can_lock

LITTLE_SPACE = 2**30  # bytes
MOUNTS = Path("/proc/self/mountinfo")
ANOTHER = "put stores and runs into a folder on another file system"


def check_folder(folder: Path) -> list[Check]:
    """Free space of a folder, and what storage.local, storage.lock and storage.output rely on, tried in it."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return [Check("folder", str(folder), FAULT, error.strerror or str(error), "name a folder that exists")]
    place = f"{folder.resolve()} ({kind})" if (kind := file_system(folder)) else str(folder.resolve())
    space = f"{format_bytes(free)} free in {place}"
    checks = [Check("folder", "disk space", OK if free >= LITTLE_SPACE else NOTE, space)]
    try:
        with tempfile.TemporaryDirectory(prefix=".unetprep-doctor-", dir=folder) as scratch:
            return [*checks, *_tries(Path(scratch))]
    except OSError as error:
        found = f"cannot be written to: {error.strerror or error}"
        return [*checks, Check("folder", str(folder), FAULT, found, "name another folder: unetprep doctor FOLDER")]


def _tries(scratch: Path) -> Iterator[Check]:
    yield _try("atomic replacement", "files are replaced while they are read, and synced", _replaces, scratch)
    yield _try("locks of stores", "a file is made only if there is none", _makes_once, scratch)
    yield _locks(scratch)


def _try(name: str, found: str, attempt: Callable[[Path], bool], scratch: Path) -> Check:
    try:
        works, why = attempt(scratch), "has no effect"
    except OSError as error:
        works, why = False, error.strerror or str(error)
    return Check("folder", name, OK, found) if works else Check("folder", name, FAULT, f"fails: {why}", ANOTHER)


def _replaces(scratch: Path) -> bool:
    """Whether a reader of a replaced file still sees the old content, and a new reader the new."""
    path = scratch / "shard"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        with replacing(path, [scratch]) as file:
            file.write(b"new")
        seen = reader.read()
    left = [name for name in os.listdir(scratch) if name.startswith(TEMPORARY)]
    return seen == b"old" and path.read_bytes() == b"new" and not left


def _makes_once(scratch: Path) -> bool:
    storage = LocalStorage(str(scratch))
    return (
        storage.put_if_absent("once", b"1") and not storage.put_if_absent("once", b"2") and storage.get("once") == b"1"
    )


def _locks(scratch: Path) -> Check:
    """Without flock, downloads are not protected from each other, and files of killed processes stay."""
    if can_lock(scratch):
        return Check("folder", "file locks", OK, "flock works")
    return Check(
        "folder", "file locks", NOTE, "no flock: unetprep fetch fails here, and temporary files of killed commands stay"
    )


def file_system(folder: Path) -> str:
    """The type of the file system of a folder, such as ext4 or nfs4; "" where the system does not list them."""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    path, best, kind = folder.resolve(), -1, ""
    for line in lines:
        mounted, _, described = line.partition(" - ")
        at = Path(mounted.split()[4].replace("\\040", " "))
        if path.is_relative_to(at) and len(at.parts) >= best:
            best, kind = len(at.parts), described.split()[0]
    return kind
