"""Both engines give the same weights for the same labels, whatever these cover, and `verify` relies on that."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tests.pipeline.conftest import LOCAL, save
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.errors import Conflict
from unetprep.format import layout
from unetprep.kernels.separate import separate_instances
from unetprep.kernels.weight_formula import make_formula
from unetprep.params import ImportParams, VerifyParams, WeightsParams
from unetprep.stages import STAGES
from unetprep.stages.weight_backends import ENGINES
from unetprep.stages.weights import WEIGHTS_VERSIONS
from unetprep.store import Store
from unetprep.verification import verify

SPACINGS = ((1.0, 1.0), (2.5, 0.7), (1.0, 1.0, 1.0), (1.567, 1.0, 1.0), (0.5, 2.0, 3.0))
CONTENTS = ([1], [1, 2, 3], [0, 1, 2], [-1, 1, 2], [-1, 0, 1, 7], [-1, 5], [0], [-1], [3, 70000, 2**31 - 1])


@st.composite
def blocks(draw: Any) -> NDArray[np.int32]:
    """Labels (z, y, x) of a grain of 1 to 3 pixels, with and without background and ignored pixels."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 12), st.integers(1, 12)))
    labels = draw(hnp.arrays(np.int32, shape, elements=st.sampled_from(draw(st.sampled_from(CONTENTS)))))
    grain = draw(st.integers(1, 3))
    return np.ascontiguousarray(labels.repeat(grain, 1).repeat(grain, 2))


@settings(max_examples=150)
@given(blocks(), st.sampled_from(SPACINGS), st.sampled_from(["paper", "falk2019"]), st.booleans())
def test_engines_agree_on_any_labels(
    labels: NDArray[np.int32], spacing: tuple[float, ...], formula: str, on_cells: bool
) -> None:
    chosen = make_formula(formula, {"sigma": 2.0}, on_cells)
    core = tuple(slice(n // 4, n) for n in labels.shape)
    target = separate_instances(labels, len(spacing))[core]
    ours, theirs = (ENGINES[e](labels, target, (0.5, 2.0), chosen, spacing, core) for e in ("numba", "edt"))
    np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=2e-6)


def test_every_cell_counts_in_a_block_without_background() -> None:
    labels = np.ones((1, 4, 9), np.int32)
    labels[..., 5:] = 2
    target, core = np.zeros(labels.shape, np.uint8), tuple(slice(0, n) for n in labels.shape)
    found = ENGINES["edt"](labels, target, (0.0, 0.0), make_formula("paper", {}), (1.0, 1.0), core)
    assert found[0, 0, 4] == pytest.approx(10 * np.exp(-1 / 50))  # d1 = 0, d2 = 1


def covered_store(folder: Path, engine: str) -> str:
    """A volume of touching cells without a background pixel, and its weights, in several chunks."""
    labels = (1 + np.indices((6, 24, 24)) // np.array([3, 8, 8]).reshape(3, 1, 1, 1)).astype(np.int32)
    save(folder / "y.npy", labels[0] + 10 * labels[1] + 100 * labels[2])
    url = str(folder / "ds.zarr")
    import_images(url, [], [str(folder / "y.npy")], ImportParams(dims=3), LOCAL)
    run_stage(Store.open(url), STAGES["weights"], WeightsParams(spacing=(1.567, 1, 1), engine=engine), LOCAL)
    return url


@pytest.mark.parametrize("engine", ["numba", "edt"])
def test_verify_accepts_a_volume_without_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setitem(layout.PIXEL_CHUNK, 3, (3, 8, 16))
    monkeypatch.setitem(layout.PIXEL_SHARD, 3, (6, 16, 16))
    found = verify(covered_store(tmp_path, engine), VerifyParams(all=True), workers=1)
    assert found.faults == ()
    assert found.recomputed["weights"] > 1


def test_maps_of_an_outdated_engine_are_not_taken_for_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for engine, outdated in product(("numba", "edt"), ("numba", "edt")):
        folder = tmp_path / f"{engine}-{outdated}"
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setitem(WEIGHTS_VERSIONS, outdated, 1)
            url = covered_store(folder, engine)
        again = WeightsParams(spacing=(1.567, 1, 1), engine=engine)
        if engine == outdated:
            with pytest.raises(Conflict, match="by version 1 of the computation"):
                run_stage(Store.open(url), STAGES["weights"], again, LOCAL)
        else:
            assert run_stage(Store.open(url), STAGES["weights"], again, LOCAL).shards_written == 0
