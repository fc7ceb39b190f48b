"""Decoding of probabilities into instances, against scipy and scikit-image on the whole image, and its memory.

    python -m benchmarks.train.decoding        writes decoding.json beside this file

Both find about 5,000 touching cells on 4096 x 4096 pixels on one thread. Theirs: distance transform, Gaussian, local
maxima, watershed. The memory of `Decoder` is the peak of a process of its own, which generates its image band by band.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from benchmarks.measure import machine, ratio, run_process, write
from unetprep.kernels.separate import separate_instances as separation
from unetprep.sources.cells import Cells
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.decoder import Decoder
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.table import InstanceTable

HERE = Path(__file__).parent
SIDE, CELLS = 4096, 5000
COVERED = 0.5  # of the image, by cells of radius 23 that overlap and are cut where they do
SIDES = (2048, 4096, 8192)
BAND = 384  # rows of a band, as of a row of tiles
BLUR_PX = 1.0
PARAMS = DecodingParams()
PAIRS = 5


def cells_of(side: int) -> Cells:
    """Cells of one size on a square image."""
    return Cells((side, side), CELLS * side**2 // SIDE**2, COVERED)


def probabilities(side: int, y0: int, y1: int) -> NDArray[np.float32]:
    """Rows of the foreground probability: cells with a line of background between them, blurred."""
    margin = 8
    top, bottom = max(0, y0 - margin), min(side, y1 + margin)
    target = separation(cells_of(side).window((top, 0), (bottom, side)))
    blurred = ndimage.gaussian_filter(target.astype(np.float32), BLUR_PX)
    return np.clip(blurred[y0 - top : y1 - top], 0, 1)


def bands(side: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The image, band by band."""
    for y0 in range(0, side, BAND):
        yield y0, probabilities(side, y0, min(side, y0 + BAND))


def by_skimage(foreground: NDArray[np.float32]) -> NDArray[np.int32]:
    """The usual recipe, with a minimum distance of half a cell."""
    mask = foreground >= PARAMS.threshold
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), PARAMS.smoothing_px)
    peaks = peak_local_max(distance, min_distance=10, exclude_border=False)  # type: ignore[no-untyped-call]
    seeds = np.zeros(mask.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-distance, seeds, mask=mask), np.int32)  # type: ignore[no-untyped-call]


def against_skimage() -> dict[str, Any]:
    """Seconds of both, and the objects that they find."""
    image = probabilities(SIDE, 0, SIDE)
    found = {
        "watershed": ratio(lambda: separate_instances(image, PARAMS), lambda: by_skimage(image), PAIRS),
        "two_threads": ratio(
            lambda: separate_instances(image, PARAMS, 2), lambda: separate_instances(image, PARAMS), PAIRS
        ),
    }
    return {
        "shape": [SIDE, SIDE],
        "cells": CELLS,
        "foreground": round(float((image >= PARAMS.threshold).mean()), 3),
        "instances": int(separate_instances(image, PARAMS).max()),
        "instances_skimage": int(by_skimage(image).max()),
        **found,
    }


def decode(side: int, decoded: bool) -> None:
    """Decode an image of this side band by band and measure its instances; or only generate it."""
    with tempfile.TemporaryDirectory() as folder, Decoder((1, side, side), PARAMS, folder=folder) as decoder:
        separate_instances(np.zeros((64, 64), np.float32) + 0.7)  # loads what is compiled
        for y0, band in bands(side):
            if decoded:
                decoder.add(0, y0, band)
        if decoded:
            table = InstanceTable(decoder.num_instances)
            for y0 in range(0, side, BAND):
                table.add(0, y0, decoder.read(0, slice(y0, y0 + BAND), slice(None)))
            assert len(list(table.rows())) == decoder.num_instances


def memory() -> list[dict[str, int]]:
    """Peak memory by the side of the image: of the process, and without what generating the image takes."""
    rows = []
    for side in SIDES:
        whole, generated = (
            run_process(["-m", "benchmarks.train.decoding", *mode, str(side)])["peak_mib"]
            for mode in (["--decode"], ["--generate"])
        )
        rows.append({"side": side, "peak_mib": round(whole), "generating_mib": round(generated)})
    return rows


def main() -> None:
    """Measure, or do what a process of its own is measured at."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decode", type=int)
    parser.add_argument("--generate", type=int)
    given = parser.parse_args()
    if given.decode or given.generate:
        decode(given.decode or given.generate, bool(given.decode))
        return
    about = machine("numpy", "numba", "scipy", "scikit-image")
    write(HERE / "decoding.json", {"machine": about, "against_skimage": against_skimage(), "memory": memory()})


if __name__ == "__main__":
    main()
