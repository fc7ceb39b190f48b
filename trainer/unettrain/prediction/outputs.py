"""Writing predictions to TIFF, .npy and Zarr files band by band, and telling such files from those of others.

A band is what one row of tiles predicts of one slice, so that memory does not grow with the size of the image. Each
format carries a mark of the command: TIFF in the tag Software, Zarr in an attribute of the array, .npy in a second
array behind the first, which numpy.load does not read (numpy.save documents several arrays in one file).
"""

import json
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from unetprep.sources.calibration import Calibration
from unetprep.sources.readers import DAMAGED
from unetprep.storage.output import OutputKind
from unettrain import __version__

COMMAND = "unettrain predict"
MARK = f"{COMMAND} {__version__}"
TIFFS = (".tif", ".tiff")
STRIP_BYTES = 2**18
CHUNK_COLUMNS = 512
IMAGEJ_UNITS = {"micrometer": "um", "nanometer": "nm", "millimeter": "mm", "centimeter": "cm"}
OME_UNITS = {**IMAGEJ_UNITS, "micrometer": "\u00b5m", "meter": "m", "inch": "in", "angstrom": "\u00c5"}
CLASSIC_TIFF_BYTES = 2**32 - 2**27  # leaves room for what cannot be compressed; offsets of 32 bits end at 4 GiB
PAGE_BYTES = 1024  # what a page takes besides its pixels, at most


class Band(NamedTuple):
    """Rows of one slice from y0 on, at full width: (class, rows, x) float32."""

    z: int
    y0: int
    pixels: NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """Shape of a prediction (class, z, y, x), the rows of its bands, and the axes that its file has."""

    shape: tuple[int, int, int, int]
    rows: int
    keeps_classes: bool
    keeps_slices: bool

    @property
    def axes(self) -> str:
        """The axes of the file, in the order of `shape`."""
        return "".join("c" * self.keeps_classes + "z" * self.keeps_slices + "yx")

    @property
    def file_shape(self) -> tuple[int, ...]:
        """The sides along these axes."""
        return tuple(n for axis, n in zip("czyx", self.shape, strict=True) if axis in self.axes)

    @property
    def num_bytes(self) -> int:
        """Bytes of the pixels, not compressed."""
        return 4 * math.prod(self.shape)

    def memory_bytes(self, path: Path) -> int:
        """What writing takes besides the tiles that are predicted: bands, and of several classes in TIFF a slice."""
        classes, _, height, width = self.shape
        whole_slice = classes > 1 and path.suffix.lower() in TIFFS
        return 4 * classes * width * (2 * self.rows + height * whole_slice)


def write_prediction(path: Path, bands: Iterable[Band], layout: Layout, calibration: Calibration | None) -> None:
    """Write a prediction as what the ending of `path` says. Bands come in the order of z, then y."""
    ending = path.suffix.lower()
    if ending == ".npy":
        _write_npy(path, bands, layout)
    elif ending == ".zarr":
        _write_zarr(path, bands, layout, calibration)
    else:
        _write_tiff(path, bands, layout, calibration)


def is_prediction(path: Path) -> bool:
    """Whether a file or folder was written by `unettrain predict`, as its own mark says."""
    if path.is_dir():
        return _is_own_zarr(path)
    return _is_own_npy(path) if path.suffix.lower() == ".npy" else _is_own_tiff(path)


PREDICTION = OutputKind(COMMAND, (*TIFFS, ".npy", ".zarr"), is_prediction)

# -- .npy -------------------------------------------------------------------------------------------------------------


def _write_npy(path: Path, bands: Iterable[Band], layout: Layout) -> None:
    classes, slices, height, width = layout.shape
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": layout.file_shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        for band in bands:
            for c in range(classes):
                file.seek(start + 4 * width * ((c * slices + band.z) * height + band.y0))
                file.write(np.ascontiguousarray(band.pixels[c], "<f4").data)
        file.seek(start + layout.num_bytes)
        np.save(file, np.array(MARK))


def _is_own_npy(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            shape, dtype = _npy_header(file)
            file.seek(math.prod(shape) * dtype.itemsize, 1)
            start = file.tell()
            shape, dtype = _npy_header(file)
            if shape or dtype.kind != "U" or dtype.itemsize > 1024:
                return False
            file.seek(start)
            return str(np.load(file, allow_pickle=False)).startswith(COMMAND)
    except (ValueError, EOFError, SyntaxError):
        return False


def _npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not a version that predict writes")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype


# -- Zarr -------------------------------------------------------------------------------------------------------------


def _write_zarr(path: Path, bands: Iterable[Band], layout: Layout, calibration: Calibration | None) -> None:
    _, _, height, width = layout.shape
    sides = {"y": min(layout.rows, height), "x": min(width, CHUNK_COLUMNS)}
    about: dict[str, Any] = {"software": MARK}
    if calibration:
        sizes = {"z": calibration.z, "y": calibration.y, "x": calibration.x}
        about |= {"spacing": [sizes[axis] for axis in layout.axes if axis != "c"], "unit": calibration.unit or None}
    array = zarr.create_array(
        str(path),
        shape=layout.file_shape,
        dtype="float32",
        chunks=tuple(sides.get(axis, 1) for axis in layout.axes),
        dimension_names=tuple(layout.axes),
        attributes={"unettrain": about},
        config={"write_empty_chunks": True},  # a missing chunk is then a damage
    )
    for band in bands:
        pixels = band.pixels if layout.keeps_classes else band.pixels[0]
        slices = (band.z,) if layout.keeps_slices else ()
        array[(..., *slices, slice(band.y0, band.y0 + band.pixels.shape[1]), slice(None))] = pixels


def _is_own_zarr(path: Path) -> bool:
    """Also that nothing else has been put into the folder of the array."""
    try:
        document = json.loads((path / "zarr.json").read_bytes())
        mark = document["attributes"]["unettrain"]["software"]
    except (ValueError, LookupError, TypeError):
        return False
    if document.get("node_type") != "array" or {entry.name for entry in path.iterdir()} - {"zarr.json", "c"}:
        return False
    return str(mark).startswith(COMMAND)


# -- TIFF -------------------------------------------------------------------------------------------------------------


def _write_tiff(path: Path, bands: Iterable[Band], layout: Layout, calibration: Calibration | None) -> None:
    """As an ImageJ hyperstack; where 4 GiB are too few, as OME in a BigTIFF."""
    width = layout.shape[3]
    axes = "".join(axis for axis in "ZCYX" if axis.lower() in layout.axes)
    shape = tuple(layout.shape["czyx".index(axis.lower())] for axis in axes)
    is_big = needs_big_tiff(layout)
    is_imagej = not is_big and width > 1
    rows = _strip_rows(layout)
    about = _imagej_metadata(calibration, layout) if is_imagej else _ome_metadata(calibration, layout)
    with tifffile.TiffWriter(path, bigtiff=is_big, imagej=is_imagej, ome=not is_imagej, byteorder="<") as tiff:
        tiff.write(
            _strips(_pages(bands, layout), rows),
            shape=shape,
            dtype=np.float32,
            rowsperstrip=rows,
            compression="zlib",
            photometric="minisblack",
            software=MARK,
            metadata={"axes": axes, **about},
            **_resolution(calibration),
        )


def needs_big_tiff(layout: Layout) -> bool:
    """Whether a TIFF with offsets of 32 bits might not hold a prediction, even if nothing can be compressed."""
    classes, slices, height, _ = layout.shape
    strips = math.ceil(height / _strip_rows(layout))
    return layout.num_bytes + classes * slices * (PAGE_BYTES + 16 * strips) > CLASSIC_TIFF_BYTES


def _strip_rows(layout: Layout) -> int:
    """Rows of a strip: a divisor of the rows of a band, so that no strip lies in two bands."""
    most = max(1, STRIP_BYTES // (4 * layout.shape[3]))
    return max(rows for rows in range(1, layout.rows + 1) if layout.rows % rows == 0 and rows <= most)


def _pages(bands: Iterable[Band], layout: Layout) -> Iterator[NDArray[np.float32]]:
    """Rows (y, x) of one page after the other. The pages of several classes follow each other within a slice."""
    classes, _, height, width = layout.shape
    if classes == 1:
        yield from (band.pixels[0] for band in bands)
        return
    whole = np.empty((classes, height, width), np.float32)
    for band in bands:
        end = band.y0 + band.pixels.shape[1]
        whole[:, band.y0 : end] = band.pixels
        if end == height:
            yield from whole


def _strips(parts: Iterable[NDArray[np.float32]], rows: int) -> Iterator[bytes]:
    """Compressed strips. Each part begins with a new strip."""
    with ThreadPoolExecutor() as executor:
        for part in parts:
            strips = (np.ascontiguousarray(part[y : y + rows], "<f4") for y in range(0, len(part), rows))
            yield from executor.map(_compress, strips)


def _compress(strip: NDArray[np.float32]) -> bytes:
    return bytes(imagecodecs.deflate_encode(strip.tobytes()))


def _imagej_metadata(calibration: Calibration | None, layout: Layout) -> dict[str, Any]:
    if calibration is None:
        return {}
    about: dict[str, Any] = {"spacing": calibration.z} if calibration.z and layout.keeps_slices else {}
    unit = IMAGEJ_UNITS.get(calibration.unit, calibration.unit)
    return about | ({"unit": unit} if unit and unit.isascii() else {})


def _ome_metadata(calibration: Calibration | None, layout: Layout) -> dict[str, Any]:
    unit = OME_UNITS.get(calibration.unit) if calibration else None
    if calibration is None or unit is None:
        return {}
    sizes = {"X": calibration.x, "Y": calibration.y, "Z": calibration.z if layout.keeps_slices else None}
    known = {axis: size for axis, size in sizes.items() if size}
    return {f"PhysicalSize{axis}": size for axis, size in known.items()} | {
        f"PhysicalSize{axis}Unit": unit for axis in known
    }


def _resolution(calibration: Calibration | None) -> dict[str, Any]:
    """The resolution tags. Those of TIFF know inches and centimetres; ImageJ takes the unit from its own metadata."""
    if calibration is None:
        return {}
    unit = {"inch": 2, "centimeter": 3}.get(calibration.unit, 1)
    return {"resolution": (1 / calibration.x, 1 / calibration.y), "resolutionunit": unit}


def _is_own_tiff(path: Path) -> bool:
    try:
        with tifffile.TiffFile(path) as tiff:
            return str(tiff.pages.first.software).startswith(COMMAND)
    except (*DAMAGED, TypeError, AttributeError):
        return False
