"""Headers that declare what cannot be: images without pixels, of no numbers, or larger than the memory."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from unetprep.errors import InvalidInput
from unetprep.sources import limits, open_source


def png(width: int, height: int) -> bytes:
    """A grey PNG whose pixels are missing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def tiff(width: int, height: int, compression: int = 8) -> bytes:
    """A grey TIFF of one strip."""
    tags = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 273: 200, 277: 1, 278: height, 279: 100}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)).ljust(300, b"\0")


def npy(shape: str, dtype: str = "'<u2'") -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


FILES = {
    "huge.png": (png(60_000, 60_000), "declares 60000 x 60000 pixels.*UNETPREP_MAX_PICTURE_PIXELS"),
    "large.png": (png(2**31 - 1, 2**31 - 1), "declares"),
    "zero.png": (png(0, 5), "no pixels|cannot be read"),
    "short.png": (png(100, 100), "cannot be read"),
    "huge.tif": (tiff(2**31 - 1, 2**31 - 1), "declares"),
    "strip.tif": (tiff(2**20, 2**20), "a strip, tile or chunk.* needs 1.02e\\+03 GiB, and"),
    "zero.tif": (tiff(0, 5), "no pixels|cannot be read"),
    "huge.npy": (npy("(1000000000, 1000000000)"), "cannot be read"),
    "overflow.npy": (npy(f"({2**62}, {2**62})"), "cannot be read"),
    "negative.npy": (npy("(-5, 5)") + bytes(100), "cannot be read"),
    "text.npy": (npy("'x'") + bytes(100), "cannot be read"),
    "struct.npy": (npy("(2, 2)", "[('a', '<u2')]") + bytes(8), "has dtype void16"),
    "string.npy": (npy("(2, 2)", "'<U3'") + bytes(48), "has dtype str"),
    "zero.npy": (npy("(0, 5)"), "no pixels|cannot be read"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_cannot_be_are_one_error(tmp_path: Path, name: str) -> None:
    content, message = FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=rf"(?s){name}.*({message})"):
        open_source(str(tmp_path / name)).read((slice(0, 1),) * 4)


def test_empty_axes_of_readable_files(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(0, 5), dtype="u1")
    with pytest.raises(InvalidInput, match="no pixels: 1 channels of 1 x 0 x 5"):
        open_source(str(tmp_path / "a.zarr"))


def test_zarr_arrays_beyond_all_limits(tmp_path: Path) -> None:
    for shape, chunks, message in (
        ((10**9, 10**9), (1024, 1024), "declares"),
        ((2**21, 8, 8), (1, 8, 8), "1048576 slices"),
        ((2**20, 2**20), (2**20, 2**20), "a strip, tile or chunk"),
    ):
        zarr.create_array(str(tmp_path / "a.zarr"), shape=shape, chunks=chunks, dtype="u1", overwrite=True)
        with pytest.raises(InvalidInput, match=message):
            open_source(str(tmp_path / "a.zarr"))


def test_a_read_that_memory_cannot_hold_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint16))
    source = open_source(str(tmp_path / "a.tif"))
    box = (slice(0, 1), slice(0, 1), slice(0, 64), slice(0, 64))
    assert source.read(box).shape == (1, 1, 64, 64)
    monkeypatch.setattr(limits, "UNCHECKED_BYTES", 1000)
    monkeypatch.setattr(limits, "available_memory", lambda: 8000)
    with pytest.raises(InvalidInput, match=r"1 x 1 x 64 x 64 of uint16, needs .* GiB, and .* are free"):
        source.read(box)
    monkeypatch.setattr(limits, "available_memory", lambda: None)
    assert source.read(box).any() == np.False_


def test_a_named_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(InvalidInput, match="is a named pipe"):
        open_source(str(tmp_path / "a.tif"))
    (tmp_path / "a.zarr").mkdir()
    os.mkfifo(tmp_path / "a.zarr" / "zarr.json")
    with pytest.raises(InvalidInput, match="is a named pipe"):
        open_source(str(tmp_path / "a.zarr"))
