"""Instance labels as tiled, compressed OME-TIFF, a BigTIFF where 4 GiB might not be enough."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from unetprep.sources.calibration import Calibration
from unettrain.prediction.layout import Band, Layout
from unettrain.prediction.tiff_output import CLASSIC_TIFF_BYTES, ome_metadata, resolution_tags

TILE_PX = 256


def write_label_tiff(path: Path, bands: Iterable[Band], layout: Layout, calibration: Calibration | None) -> None:
    """Write labels. Bands come in the order of z, then y, and begin at multiples of `TILE_PX`."""
    axes = layout.axes.upper()
    with tifffile.TiffWriter(path, bigtiff=_needs_big_tiff(layout), ome=True, byteorder="<") as tiff:
        tiff.write(
            _tiles(bands, layout),
            shape=layout.file_shape,
            dtype=layout.dtype,
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            predictor=False,
            photometric="minisblack",
            software=layout.mark,
            metadata={"axes": axes, **ome_metadata(calibration, layout)},
            **resolution_tags(calibration),
        )


def _needs_big_tiff(layout: Layout) -> bool:
    _, slices, height, width = layout.shape
    tiles = slices * -(-height // TILE_PX) * -(-width // TILE_PX)
    return tiles * (layout.itemsize * TILE_PX**2 + 16) + 1024 * slices > CLASSIC_TIFF_BYTES


def _tiles(bands: Iterable[Band], layout: Layout) -> Iterator[bytes]:
    """Compressed tiles, filled up with 0 beyond the image."""
    width, dtype = layout.shape[3], np.dtype(layout.dtype).newbyteorder("<")
    with ThreadPoolExecutor() as executor:
        for band in bands:
            labels = band.pixels[0]
            corners = ((y, x) for y in range(0, len(labels), TILE_PX) for x in range(0, width, TILE_PX))
            tiles = (_full(labels[y : y + TILE_PX, x : x + TILE_PX].astype(dtype)) for y, x in corners)
            yield from executor.map(_compress, tiles)


def _full(tile: NDArray[Any]) -> NDArray[Any]:
    missing = [(0, TILE_PX - n) for n in tile.shape]
    return np.pad(tile, missing) if tile.shape != (TILE_PX, TILE_PX) else tile


def _compress(tile: NDArray[Any]) -> bytes:
    return bytes(imagecodecs.deflate_encode(tile.tobytes()))
