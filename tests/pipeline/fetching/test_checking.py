"""Digests of pixels, and local files compared with a manifest."""

import hashlib
import io
from pathlib import Path
from typing import Any

import imageio.v3
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.fetching import pixel_digest, verify_local
from unetprep.fetching.data_set import Archive, DataFile, Manifest
from unetprep.fetching.digests import pixel_digest_of

SHARED = Path(__file__).parents[4] / "shared" / "data"
IMAGE: NDArray[Any] = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100


def data_set(*files: DataFile, archives: tuple[Archive, ...] = ()) -> Manifest:
    return Manifest("cells", "Cells", "CC0", "local", files, archives)


def test_a_pixel_digest_is_the_sha256_of_a_line_and_the_pixels() -> None:
    line = b"uint16 20x30\n"
    assert pixel_digest(IMAGE) == hashlib.sha256(line + IMAGE.astype("<u2").tobytes()).hexdigest()
    assert pixel_digest(IMAGE.astype(">u2")) == pixel_digest(np.asfortranarray(IMAGE)) == pixel_digest(IMAGE)
    others: list[NDArray[Any]] = [IMAGE.astype(np.uint32), IMAGE[None], IMAGE.reshape(30, 20), IMAGE + np.uint16(1)]
    assert len({pixel_digest(image) for image in (IMAGE, *others)}) == 5
    with pytest.raises(InvalidInput, match="dtype <U1 has no pixel digest"):
        pixel_digest(np.array(["a"]))


def test_a_pixel_digest_does_not_depend_on_the_file(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "plain.tif", IMAGE, byteorder=">")
    tifffile.imwrite(tmp_path / "packed.tif", IMAGE, compression="zlib")
    imageio.v3.imwrite(tmp_path / "image.png", IMAGE)
    for path in tmp_path.iterdir():
        with path.open("rb") as file:
            assert pixel_digest_of(file, path.name) == pixel_digest(IMAGE), path
    with pytest.raises(InvalidInput, match=r"a\.jpg has no pixel digest"):
        pixel_digest_of(io.BytesIO(), "a.jpg")
    for name in ("a.tif", "a.png"):
        with pytest.raises(InvalidInput, match="cannot be decoded"):
            pixel_digest_of(io.BytesIO(b"nothing"), name)


def test_local_files_are_compared_with_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images/a.tif", IMAGE, compression="zlib")
    (tmp_path / "b.bin").write_bytes(b"bytes")
    image = DataFile("images/a.tif", sha256="0" * 64, pixels=pixel_digest(IMAGE))  # compressed anew
    plain = DataFile("b.bin", sha256=hashlib.sha256(b"bytes").hexdigest(), num_bytes=5)
    found = verify_local(data_set(image, plain), tmp_path)
    assert found == {"images/a.tif": tmp_path / "images/a.tif", "b.bin": tmp_path / "b.bin"}


def test_all_files_that_differ_are_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE + np.uint16(1))
    (tmp_path / "b.bin").write_bytes(b"other")
    (tmp_path / "d.bin").write_bytes(b"some")
    wanted = (
        DataFile("a.tif", pixels=pixel_digest(IMAGE)),
        DataFile("b.bin", sha256=hashlib.sha256(b"bytes").hexdigest()),
        DataFile("c.bin", sha256="0" * 64),
        DataFile("d.bin"),
    )
    with pytest.raises(InvalidInput) as raised:
        verify_local(data_set(*wanted), tmp_path)
    message = str(raised.value)
    assert message.startswith("4 inputs cannot be used:")
    assert f"{pixel_digest(IMAGE + np.uint16(1))}, and should be {pixel_digest(IMAGE)}" in message
    assert f"b.bin is not the file of cells: its SHA-256 is {hashlib.sha256(b'other').hexdigest()}" in message
    assert "c.bin is not there" in message
    assert "knows no digest of d.bin" in message
    with pytest.raises(InvalidInput, match="lists no files"):
        verify_local(data_set(archives=(Archive("a.zip", unpack="."),)), tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data sets are not here")
@pytest.mark.parametrize(
    ("name", "folder", "count"), [("isbi2012", "isbi2012", 2), ("dsb2018-selection", "dsb2018", 108)]
)
def test_the_copies_of_this_project_are_those_of_the_manifests(name: str, folder: str, count: int) -> None:
    assert len(verify_local(name, SHARED / folder)) == count
