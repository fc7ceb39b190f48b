"""Tiles that a report shows."""

from pathlib import Path

import numpy as np

from unettrain.reporting.examples import busiest_tile, corner_tile
from unettrain.reporting.inputs import read_run


def test_the_shown_tiles_are_of_training_images(run: Path) -> None:
    opened = read_run(run)
    root = opened.root
    for tile in (busiest_tile(opened), corner_tile(opened)):
        assert np.asarray(root["tiles/split"][tile]) == 0  # type: ignore[index]
    corner = [int(np.asarray(root[f"tiles/{axis}"][corner_tile(opened)])) for axis in ("y0", "x0")]  # type: ignore[index]
    assert corner == [0, 0]
