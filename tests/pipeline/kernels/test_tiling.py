import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetprep.kernels.tiling import border_px, is_legal_tile, legal_tiles_near, output_size, smallest_tile, tile_origins


def walk_through_the_network(side: int, depth: int) -> int | None:
    """The output's side by following every layer; None where pooling meets an odd side or nothing is left."""
    skips = []
    for _ in range(depth):
        side -= 4
        skips.append(side)
        if side <= 0 or side % 2:
            return None
        side //= 2
    side -= 4
    for skip in reversed(skips):
        side = 2 * side
        if side <= 0 or side > skip:
            return None
        side -= 4
    return side if side > 0 else None


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_legal_sizes_are_those_that_pass_every_layer(depth: int) -> None:
    for side in range(1, smallest_tile(depth) + 200):
        output = walk_through_the_network(side, depth)
        assert is_legal_tile(side, depth) == (output is not None), side
        if output is not None:
            assert output_size(side, depth) == output


def test_the_papers_sizes() -> None:
    assert [output_size(n) for n in (188, 204, 572, 700)] == [4, 20, 388, 516]
    assert (smallest_tile(), border_px()) == (188, 184)


@given(st.integers(1, 2000), st.integers(1, 5))
def test_nearest_legal_sizes(side: int, depth: int) -> None:
    below, above = legal_tiles_near(side, depth)
    assert is_legal_tile(below, depth)
    assert is_legal_tile(above, depth)
    assert below <= max(side, smallest_tile(depth))
    assert side <= above < max(side, smallest_tile(depth)) + 2**depth
    assert (below == above) == (is_legal_tile(side, depth) or side < smallest_tile(depth))


@given(st.integers(1, 2000), st.integers(1, 600))
def test_tiles_cover_a_line_once(length: int, output: int) -> None:
    origins = tile_origins(length, output)
    covered = np.concatenate([np.arange(o, o + output) for o in origins])
    assert len(covered) == len(np.unique(covered))
    assert set(range(length)) <= set(covered.tolist())
    assert origins[-1] < length


@given(st.integers(1, 2000), st.integers(1, 600), st.data())
def test_overlapping_tiles_cover_a_line_and_none_is_too_many(length: int, output: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, output))
    origins = tile_origins(length, output, stride)
    seen = np.zeros(length + output + stride, int)
    for origin in origins:
        seen[origin : origin + output] += 1
    assert (seen[:length] > 0).all()
    assert len(origins) == 1 or origins[-2] + output < length  # the one before the last did not reach the edge
