"""Sampled augmentation parameters of a run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.trainer.test_training_loop import quick
from unettrain.augment.draw import Draw
from unettrain.draws import TileDraw, sampled_draws
from unettrain.errors import InvalidInput
from unettrain.stream.tile_stream import TileStream
from unettrain.training_loop import fit

MakeStore = Callable[..., Path]


def test_draws_are_those_of_the_stream_for_past_and_future_steps(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store()
    fit(store, tmp_path / "run", quick(steps=2))
    stream = TileStream.of(store, quick(steps=2))
    found = list(sampled_draws(tmp_path / "run", range(1, 50)))
    expected = [
        TileDraw(step, epoch, tile, stream.draw(epoch, tile, repeat))
        for step in range(1, 50)
        for epoch, tile, repeat in stream.samples(step)
    ]
    assert found == expected
    assert np.array_equal(stream.replay([found[0].as_dict()]).image, stream.batch(1).image)
    assert Draw(**found[0].as_dict()["draw"]) == found[0].draw


def test_a_store_that_was_replaced_is_refused(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store()
    fit(store, tmp_path / "run", quick(steps=1))
    moved = store.rename(tmp_path / "moved.zarr")
    assert next(sampled_draws(tmp_path / "run", range(1), moved)).step == 0
    fields = zarr.open_array(str(moved), path="fields/grids")
    fields.attrs["unetprep"] = {**fields.attrs["unetprep"], "fingerprint": "other"}  # type: ignore[dict-item]
    with pytest.raises(InvalidInput, match=r"no longer holds what .* is trained on: fields/grids was replaced"):
        next(sampled_draws(tmp_path / "run", range(1), moved))
