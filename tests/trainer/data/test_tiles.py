"""Geometry of tiles, and access to their pixels."""

import numpy as np
import pytest

from unetprep.kernels.weight_formula import make_formula
from unettrain.data.tiles import Geometry, StoredTile, Tiles, WeightRule
from unettrain.errors import InvalidInput

GEOMETRY = Geometry(
    tile_px=60, output_px=20, margin_px=8, depth=2, num_channels=3, dtype=np.dtype("uint16"), reach_px=5
)


class Counted:
    """Pixels that are the number of their tile."""

    fingerprints = {"tiles/image": "1"}  # noqa: RUF012

    def read(self, index: int, into: StoredTile) -> None:
        for array in (into.image, into.target, into.weights):
            array[...] = index


def tiles() -> Tiles:
    split = np.array([0, 1, 0, 2, 0], np.uint8)
    intensity = np.array([[k, 10 * k] for k in range(5)], np.float32)
    return Tiles(GEOMETRY, ("a", "b"), "auto", split, intensity, Counted())


def test_sides_follow_from_margin_and_reach() -> None:
    assert (GEOMETRY.outer_px, GEOMETRY.inner_px, GEOMETRY.cells_px) == (76, 36, 46)
    empty = GEOMETRY.empty()
    assert (empty.image.shape, empty.image.dtype) == ((3, 76, 76), np.dtype("uint16"))
    assert (empty.target.shape, empty.target.dtype) == ((36, 36), np.dtype("uint8"))
    assert (empty.weights.shape, empty.weights.dtype, empty.instances) == ((36, 36), np.dtype("float32"), None)
    cells = GEOMETRY.empty(instances=True)
    assert cells.instances is not None
    assert (cells.instances.shape, cells.instances.dtype) == ((46, 46), np.dtype("int32"))
    assert cells.target.size == cells.weights.size == 0


def test_the_numbers_of_a_split() -> None:
    assert [tiles().indices(split).tolist() for split in ("train", "val", "test")] == [[0, 2, 4], [1], [3]]
    with pytest.raises(InvalidInput, match="split is 'all'\n  allowed: train, val, test"):
        tiles().indices("all")


def test_a_tile_is_read_with_its_own_intensity_into_given_arrays() -> None:
    found = tiles().read(3)
    assert (found.intensity, np.unique(found.image).tolist()) == ((3.0, 30.0), [3])
    into = tiles().empty()
    again = tiles().read(4, into)
    assert again.image is into.image
    assert (again.intensity, np.unique(into.weights).tolist()) == ((4.0, 40.0), [4.0])


def test_the_rule_of_weights_is_that_of_the_record() -> None:
    made = {
        "class_weights": [0.5, 2],
        "spacing": [2, 1, 1],
        "separate": "symmetric",
        "reach_px": 7,
        "formula": "paper",
        "w0": 3.0,
        "sigma": 2.0,
        "border_on": "all",
    }
    rule = WeightRule.of(made)
    assert (rule.class_weights, rule.spacing, rule.separate, rule.reach_px) == ((0.5, 2), (2, 1, 1), "symmetric", 7)
    assert rule.formula == make_formula("paper", {"w0": 3.0, "sigma": 2.0}, on_cells=True)
