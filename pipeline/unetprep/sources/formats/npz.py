"""`.npz` files as sources: the only array in it, or FILE.npz:/NAME. An array is decoded whole."""

import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.formats.npy_rows import Header, read_header
from unetprep.sources.formats.table import INNER, split_name
from unetprep.sources.limits import check_memory
from unetprep.sources.source import Choice, Decode, Source, guessed_axes
from unetprep.sources.urls import File, is_url
from unetprep.sources.whole import decoded, opened

ENDING = ".npy"  # of the members


@dataclass(frozen=True)
class NpzSource(Source):
    """An array in a .npz file."""

    name: str = ""

    @property
    def is_decoded_whole(self) -> bool:
        """True."""
        return True

    def _read_file(self, box: Box) -> NDArray[Any]:
        return decoded(_decode, split_name(self.path)[0], self.endpoint, self.name)[box]


def open_file(path: str, choice: Choice, decode: Decode | None) -> NpzSource:
    """The only array, or that of the name in the path, with axes guessed from its shape."""
    file, name = split_name(path)
    with opened(File.at(file) if is_url(file) else file) as stream, zipfile.ZipFile(stream) as archive:
        names = [one.removesuffix(ENDING) for one in archive.namelist() if one.endswith(ENDING)]
        if name not in names and (name or len(names) != 1):
            raise InvalidInput(
                f"{file} has no array {name!r}" if name else f"{file} holds {len(names)} arrays",
                allowed=", ".join(f"{file}{INNER}{one}" for one in names[:6]) or "a .npz file of arrays",
            )
        name = name or names[0]
        header = _header(archive, name)
    check_memory(path, header.shape, header.dtype.name, "it is decoded whole, and")
    return NpzSource(path, guessed_axes(header.shape), header.shape, header.dtype.name, name)


def _header(archive: zipfile.ZipFile, name: str) -> Header:
    with archive.open(name + ENDING) as member:
        return read_header(member, archive.getinfo(name + ENDING).file_size)


def _decode(file: str | File, name: str) -> NDArray[Any]:
    with opened(file) as stream, zipfile.ZipFile(stream) as archive:
        _header(archive, name)
        with archive.open(name + ENDING) as member:
            return np.asarray(np.lib.format.read_array(member, allow_pickle=False))
