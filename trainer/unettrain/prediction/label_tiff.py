"""Instance labels as tiled, compressed OME-TIFF, a BigTIFF where 4 GiB might not be enough."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from unetprep.sources.calibration import Calibration
from unettrain.prediction.layout import Layout
from unettrain.prediction.tiff_output import CLASSIC_TIFF_BYTES, ome_metadata, resolution_tags
from unettrain.prediction.windows import Read, windows_of

TILE_PX = 256


def write_label_tiff(path: Path, read: Read, layout: Layout, calibration: Calibration | None) -> None:
    """Write labels. Windows are rows of whole tiles."""
    axes = layout.axes.upper()
    with tifffile.TiffWriter(path, bigtiff=_needs_big_tiff(layout), ome=True, byteorder="<") as tiff:
        tiff.write(
            _tiles(read, layout),
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


def _tiles(read: Read, layout: Layout) -> Iterator[bytes]:
    """Compressed tiles, filled up with 0 beyond the image."""
    dtype = np.dtype(layout.dtype).newbyteorder("<")
    with ThreadPoolExecutor() as executor:
        for window in windows_of(layout.shape, TILE_PX):
            labels = read(window)[0]
            tiles = (_full(labels[:, x : x + TILE_PX].astype(dtype)) for x in range(0, labels.shape[1], TILE_PX))
            yield from executor.map(_compress, tiles)


def _full(tile: NDArray[Any]) -> NDArray[Any]:
    missing = [(0, TILE_PX - n) for n in tile.shape]
    return np.pad(tile, missing) if tile.shape != (TILE_PX, TILE_PX) else tile


def _compress(tile: NDArray[Any]) -> bytes:
    return bytes(imagecodecs.deflate_encode(tile.tobytes()))
