"""The stage that draws fields: what it writes, what it draws again, what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import xarray

from tests.pipeline.conftest import LOCAL
from unetprep import displacement_field
from unetprep.contents import info
from unetprep.engine.run import run_stage
from unetprep.errors import Conflict, InvalidInput
from unetprep.format.layout import DENSE, FOLDING, GRIDS
from unetprep.kernels.folding import folded_shares
from unetprep.kernels.random_fields import draw_grids
from unetprep.params import DeformParams, VerifyParams
from unetprep.stages import STAGES
from unetprep.stages.deform import DeformJob
from unetprep.store import Store
from unetprep.verification import verify


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("unetprep.stages.deform.SHARD", 8)
    monkeypatch.setattr("unetprep.stages.deform.CHUNK", 4)
    return Store.open_or_create(str(tmp_path / "ds.zarr"))


def deform(store: Store, overwrite: bool = False, **chosen: object) -> Store:
    params = DeformParams(tile_px=60, **chosen)  # type: ignore[arg-type]
    run_stage(store, STAGES["deform"], params, LOCAL, overwrite=overwrite)
    return Store.open(store.url)


@pytest.mark.parametrize("num", [1, 8, 30])
def test_field_k_is_the_same_whatever_their_number(store: Store, num: int) -> None:
    grids = deform(store, fields=num, seed=3, grid=(3, 5)).read_all(GRIDS)
    np.testing.assert_array_equal(grids, draw_grids(3, range(40), (3, 5), 10.0)[:num])
    assert grids.shape == (num, 2, 3, 5)


def test_what_folds_is_reported_or_drawn_again(store: Store) -> None:
    store = deform(store, fields=30)
    shares = store.read_all(FOLDING)
    np.testing.assert_array_equal(shares, folded_shares(store.read_all(GRIDS), (60, 60), "bspline"))
    about = info(store.url).fields.as_values()
    assert about["folding_fields"] == np.mean(shares > 0) > 0
    assert about["most_folded"] == shares.max()
    before = store.read_all(GRIDS)
    with pytest.raises(Conflict, match=r"max-folding is 1\.0 there and 0\.0 now"):
        deform(store, fields=30, max_folding=0.0)
    store = deform(store, overwrite=True, fields=30, max_folding=0.0)
    assert not store.read_all(FOLDING).any()
    kept = (store.read_all(GRIDS) == before).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(kept, shares == 0)


def test_what_always_folds_is_refused_before_anything_is_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = deform(store, fields=2)
    before = store.read_all(GRIDS)
    with pytest.raises(InvalidInput, match=r"sigma is 20: each of 100 attempts at field 0 folds"):
        deform(store, overwrite=True, fields=1, grid=(9, 9), sigma_px=20.0, max_folding=0.0)
    monkeypatch.setattr("unetprep.stages.deform.ATTEMPTS", 1)
    shares = folded_shares(draw_grids(0, range(50), (5, 5), 2.5), (60, 60), "bspline")
    first = int(np.flatnonzero(shares > 0.001)[0])
    assert first > 10  # in another shard than the first
    with pytest.raises(InvalidInput, match=rf"attempts at field {first} folds at more than 0\.001"):
        deform(store, overwrite=True, fields=50, grid=(5, 5), sigma_px=2.5, max_folding=0.001)
    assert store.state(GRIDS) == "finished"
    np.testing.assert_array_equal(store.read_all(GRIDS), before)


def test_the_last_field_that_is_drawn_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    params = DeformParams(fields=1, grid=(6, 6), tile_px=188, max_folding=0.0)
    folds = [folded_shares(draw_grids(0, [2], (6, 6), 10.0, k), (188, 188), "bspline")[0] > 0 for k in range(100)]
    first = folds.index(False)
    monkeypatch.setattr("unetprep.stages.deform.ATTEMPTS", first + 1)
    grids, _ = next(DeformJob((), params).drawn(range(2, 3)))
    np.testing.assert_array_equal(grids, draw_grids(0, [2], (6, 6), 10.0, first))


@pytest.mark.parametrize(("dtype", "most_px"), [("float32", 1e-5), ("float16", 1 / 64)])
def test_dense_fields_are_the_grids_expanded(store: Store, dtype: str, most_px: float) -> None:
    store = deform(store, fields=20, dense=dtype)
    dense = store.read_all(DENSE)
    assert dense.dtype == dtype
    expected = [displacement_field(grid, (60, 60)) for grid in store.read_all(GRIDS)]
    np.testing.assert_allclose(dense, np.array(expected), rtol=0, atol=most_px)
    assert verify(store.url, VerifyParams(all=True)).faults == ()
    assert not run_stage(
        store, STAGES["deform"], DeformParams(tile_px=60, fields=20, dense=dtype), LOCAL
    ).shards_written


def test_dense_fields_go_with_the_grids_they_are_of(store: Store) -> None:
    deform(store, fields=20, dense="float16")
    assert deform(store, fields=20).state(DENSE) == "finished"
    store = deform(store, overwrite=True, fields=12)
    assert not store.record(DENSE)
    found = xarray.open_zarr(store.url, group="fields", consolidated=False)
    assert dict(found.sizes)["field"] == 12
    assert verify(store.url, VerifyParams(all=True)).faults == ()


def test_the_plugins_grid_is_as_large_as_the_tile_needs(store: Store) -> None:
    store = deform(store, fields=3, interpolation="bspline-approx")
    assert store.read_all(GRIDS).shape == (3, 2, 4, 4)
    assert store.record(GRIDS)["interpolation"] == "cubic-bspline-approx"


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            {"sigma_px": 0.0},
            "sigma is 0, which moves nothing\n  allowed: over 0\n  to do:   or train with --no-def",
        ),
        ({"sigma_px": 200.0}, "move pixels by more than a tile of 572\n  allowed: up to 190.7; the paper's is 10"),
        ({"grid": (1, 1)}, "grid is 1,1\n  allowed: a number from 2, or two such as 3,5"),
        ({"grid": "3,x"}, "grid is '3,x'"),
        ({"grid": (3, 3, 3)}, "grid is 3,3,3"),
        ({"grid": (700, 700)}, "grid is 700,700: more nodes along a side than a tile of 572 has pixels"),
        (
            {"grid": (6, 6), "interpolation": "bspline-approx"},
            "do not cover a tile of 572\n  allowed: at least 7",
        ),
        ({"dense": "float64"}, "dense is 'float64'\n  allowed: none, float16, float32"),
        ({"max_folding": -0.1}, "max-folding is -0.1"),
    ],
)
def test_what_makes_no_fields_is_refused(chosen: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        DeformParams(**chosen)  # type: ignore[arg-type]
    assert message in str(caught.value)
