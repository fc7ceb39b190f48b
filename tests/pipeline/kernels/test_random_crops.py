"""Origins of random tiles."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unetprep.kernels.random_crops import random_origins


@given(*[st.integers(1, 300)] * 3, st.integers(1, 200), st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_random_tiles_lie_in_the_image(z: int, y: int, x: int, output: int, seed: int, first: int) -> None:
    found = random_origins(seed, "a", first, first + 50, (z, y, x), output)
    assert found.min() >= 0
    assert (found[:, 0] < z).all()
    assert (found[:, 1] <= max(0, y - output)).all()
    assert (found[:, 2] <= max(0, x - output)).all()


def test_random_places_of_a_part_are_those_of_the_whole() -> None:
    whole = random_origins(5, "a", 0, 100, (7, 24, 21), 20)
    np.testing.assert_array_equal(random_origins(5, "a", 40, 90, (7, 24, 21), 20), whole[40:90])
    assert (whole != random_origins(5, "b", 0, 100, (7, 24, 21), 20)).any()
    assert (whole != random_origins(6, "a", 0, 100, (7, 24, 21), 20)).any()
    assert {*whole[:, 0].tolist()} == set(range(7))
    assert {*whole[:, 1].tolist()} == set(range(5))
    assert {*whole[:, 2].tolist()} == {0, 1}
