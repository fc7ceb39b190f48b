"""Contingency tables: counts against a dictionary, blocks of chunks, and refused arrays."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tests.synthetic import cell_labels
from unetprep.kernels.pair_counts import PairCounts
from unettrain.errors import InvalidInput
from unettrain.metrics import average_precision, contingency_table, seg
from unettrain.metrics.contingency import blocks_of

few = arrays(np.int16, (6, 7), elements=st.integers(-2, 3))


def as_counter(table: object) -> Counter[tuple[int, int]]:
    columns = (getattr(table, name).tolist() for name in ("labels", "proposals", "counts"))
    return Counter({(a, b): n for a, b, n in zip(*columns, strict=True)})


@given(few, arrays(np.uint8, (6, 7), elements=st.integers(0, 3)))
def test_it_counts_pairs(labels: NDArray[np.int16], proposal: NDArray[np.uint8]) -> None:
    pairs = zip(np.maximum(labels, -1).ravel().tolist(), proposal.ravel().tolist(), strict=True)
    assert as_counter(contingency_table(labels, proposal)) == Counter(pairs)


def test_many_pairs_outgrow_the_first_slots() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(-(2**40), 2**40, 5000), rng.integers(0, 3, 5000).astype(bool)
    pairs = PairCounts()
    for part in (slice(0, 3000), slice(3000, None), slice(0, 5000)):
        pairs.add(first[part], second[part])
    a, b, counts = pairs.table()
    assert (counts == 2).all()
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == list(zip(a.tolist(), b.tolist(), strict=True))


def test_zarr_is_read_in_blocks_of_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.stack([cell_labels((70, 90), 20, seed) for seed in range(3)])
    proposal = np.roll(labels, 2, axis=2)
    first, second = (
        zarr.create_array(tmp_path / f"{name}.zarr", data=data, chunks=(2, 16, 32))
        for name, data in (("labels", labels), ("proposal", proposal))
    )
    monkeypatch.setattr("unettrain.metrics.contingency.BLOCK_PX", 4096)
    boxes = list(blocks_of(first, second))
    assert boxes[0] == (slice(0, 2), slice(0, 16), slice(0, 90))
    assert sum(labels[box].size for box in boxes) == labels.size
    assert as_counter(contingency_table(first, second)) == as_counter(contingency_table(labels, proposal))
    assert average_precision(first, second) == average_precision(labels, proposal)
    assert seg(first, second) == seg(labels, proposal)


def test_what_cannot_be_counted_is_refused() -> None:
    labels = np.ones((2, 2), np.int32)
    with pytest.raises(InvalidInput, match=r"labels have shape \(2, 2\), proposal \(2, 1\)"):
        contingency_table(labels, labels[:, :1])
    with pytest.raises(InvalidInput, match="proposal is float64"):
        contingency_table(labels, labels / 2)
    with pytest.raises(InvalidInput, match="the proposal holds -1"):
        contingency_table(labels, -labels)
    with pytest.raises(InvalidInput, match="labels holds 18446744073709551615"):
        contingency_table(np.full((2, 2), 2**64 - 1, np.uint64), labels)
