"""Displacements of random fields at their nodes."""

import hashlib

import numpy as np
import pytest

from unetprep.kernels.random_fields import draw_grids


def test_another_attempt_draws_other_fields() -> None:
    first, again = (draw_grids(0, range(50), (3, 3), 10.0, attempt) for attempt in (0, 1))
    assert not np.isin(again, first).any()


def test_a_field_depends_on_seed_and_number_alone() -> None:
    many = draw_grids(5, range(100), (3, 3), 10.0)
    np.testing.assert_array_equal(draw_grids(5, range(40, 43), (3, 3), 10.0), many[40:43])
    assert len(np.unique(many)) == many.size
    assert np.isin(draw_grids(6, range(100), (3, 3), 10.0), many).mean() < 0.01  # other seed, other fields
    one, other = (draw_grids(2**64 - k, [2**63 + 1], (3, 3), 10.0) for k in (1, 2))
    assert not np.isin(one, other).any()
    for seed, k in ((2**64, 0), (0, -1)):
        with pytest.raises(OverflowError):
            draw_grids(seed, [k], (3, 3), 10.0)


def test_displacements_have_the_papers_deviation() -> None:
    grids = draw_grids(0, range(20_000), (3, 3), 10.0).astype(np.float64)
    assert grids.std(axis=0) == pytest.approx(np.full((2, 3, 3), 10.0), rel=0.03)
    assert abs(grids.mean(axis=0)).max() < 0.3
    correlation = np.corrcoef(grids.reshape(len(grids), -1), rowvar=False)
    assert abs(correlation - np.eye(18)).max() < 0.04
    assert ((grids / 10) ** 4).mean() == pytest.approx(3, rel=0.05)  # a Gaussian's kurtosis


def test_the_draw_is_frozen() -> None:
    digest = hashlib.sha256(draw_grids(42, range(1000), (3, 3), 10.0).tobytes()).hexdigest()
    assert digest == "3473905dbf493259ce7e749798a36bbab8d789224a81c8a35094e81b9d3f3371"
