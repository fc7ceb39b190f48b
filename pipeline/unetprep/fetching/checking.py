"""Comparison of files with what their manifest states: size, SHA-256, and digest of the decoded pixels."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from unetprep.errors import Faults, InvalidInput
from unetprep.fetching.data_set import Expected, Manifest
from unetprep.fetching.digests import copy_and_hash, pixel_digest_of
from unetprep.fetching.manifests import read_manifest
from unetprep.storage.paths import below
from unetprep.storage.regular_files import open_regular


@dataclass(frozen=True)
class Checked:
    """A file compared with its manifest: its SHA-256, and how it differs, in words; "" if it does not.

    `is_verified` is False also for a file of which the manifest knows no digest, so that nothing can differ.
    """

    sha256: str
    difference: str
    is_verified: bool


def check_file(expected: Expected, path: Path) -> Checked:
    """Compare a local file with its manifest. Raises OSError if it cannot be read."""
    with open_regular(path) as file:
        return check_content(expected, file, os.fstat(file.fileno()).st_size)


def check_content(expected: Expected, file: BinaryIO, num_bytes: int) -> Checked:
    """Compare a file of this size, which is open at its beginning, with its manifest.

    Either digest is enough, where the manifest has both: a file that is compressed anew has the same pixels.
    """
    if num_bytes > expected.max_bytes or (expected.num_bytes not in (None, num_bytes) and not expected.pixels):
        most = "" if expected.num_bytes is not None else " at most"
        return Checked("", f"it has {num_bytes} bytes, and should have {expected.max_bytes}{most}", False)
    seen, _ = copy_and_hash(file, None, expected.max_bytes)
    if expected.sha256 == seen:
        return Checked(seen, "", True)
    if expected.pixels:
        return _check_pixels(expected, file, seen)
    difference = f"its SHA-256 is {seen}, and should be {expected.sha256}" if expected.sha256 else ""
    return Checked(seen, difference, False)


def _check_pixels(expected: Expected, file: BinaryIO, seen: str) -> Checked:
    file.seek(0)
    try:
        pixels = pixel_digest_of(file, expected.path)
    except InvalidInput as error:
        return Checked(seen, error.problem, False)
    if pixels == expected.pixels:
        return Checked(seen, "", True)
    return Checked(seen, f"the digest of its pixels is {pixels}, and should be {expected.pixels}", False)


def verify_local(data_set: str | Manifest, folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Compare all files of a data set with its manifest, and return their paths below `folder`, by their names there.

    `data_set` is a manifest, the name of one that comes with unetprep, or the path of one.

    Raises InvalidInput with all files that are missing or differ, for a manifest that lists no files (only archives),
    and for one that knows no digest of a file.
    """
    manifest = read_manifest(data_set) if isinstance(data_set, str) else data_set
    if not manifest.files:
        raise InvalidInput(f"the manifest of {manifest.name} lists no files, only archives")
    faults, found = Faults(), {}
    for file in manifest.files:
        path = found[file.path] = below(Path(folder), file.path)
        with faults.collected():
            _verify(manifest, file, path)
    faults.refuse()
    return found


def _verify(manifest: Manifest, file: Expected, path: Path) -> None:
    try:
        checked = check_file(file, path)
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInput(f"{path} is not there; unetprep datasets {manifest.name} says where it is from") from None
    if checked.difference:
        raise InvalidInput(f"{path} is not the file of {manifest.name}: {checked.difference}")
    if not checked.is_verified:
        raise InvalidInput(f"the manifest of {manifest.name} knows no digest of {file.path}; SHA-256: {checked.sha256}")
