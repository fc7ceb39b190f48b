import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetprep import mirrored_tile
from unetprep.format.boxes import box_shape, grow, inside, shard_box, shard_counts
from unetprep.kernels.mirror import mirror_index
from unetprep.kernels.random_crops import random_origins
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


@given(st.integers(1, 20), st.integers(-90, 90), st.integers(0, 90))
def test_mirror_is_numpys_reflect_at_any_pad(size: int, start: int, length: int) -> None:
    padded = np.pad(np.arange(size), 200, mode="reflect") if size > 1 else np.zeros(401, int)
    np.testing.assert_array_equal(mirror_index(start, start + length, size), padded[200 + start :][:length])


@given(
    st.integers(1, 9), st.integers(1, 9), st.tuples(*[st.integers(-30, 30)] * 2), st.tuples(*[st.integers(1, 30)] * 2)
)
def test_mirrored_tile_is_cut_from_the_padded_image(
    height: int, width: int, start: tuple[int, int], shape: tuple[int, int]
) -> None:
    image = np.arange(3 * height * width).reshape(3, height, width)
    padded = np.pad(image, ((0, 0), (60, 60), (60, 60)), mode="reflect")
    expected = padded[:, 60 + start[0] :, 60 + start[1] :][:, : shape[0], : shape[1]]
    np.testing.assert_array_equal(mirrored_tile(image, start, shape), expected)


def test_an_empty_image_cannot_be_mirrored() -> None:
    with pytest.raises(ValueError, match="no pixels to mirror"):
        mirrored_tile(np.zeros((0, 5)), (0, 0), (3, 3))


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


@given(*[st.integers(1, 300)] * 3, st.integers(1, 200), st.integers(0, 2**64 - 1), st.integers(0, 2**40))
def test_random_tiles_lie_in_the_image(z: int, y: int, x: int, output: int, seed: int, first: int) -> None:
    found = random_origins(seed, "a", first, first + 50, (z, y, x), output)
    assert found.min() >= 0
    assert (found[:, 0] < z).all()
    assert (found[:, 1] <= max(0, y - output)).all()
    assert (found[:, 2] <= max(0, x - output)).all()


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12), st.integers(0, 9)), min_size=1, max_size=3))
def test_shards_cover_once_and_halos_end_at_the_edge(axes: list[tuple[int, int, int]]) -> None:
    shape, shard, halo = (tuple(a) for a in zip(*axes, strict=True))
    seen = np.zeros(shape, int)
    for index in np.ndindex(shard_counts(shape, shard)):
        box = shard_box(index, shape, shard)
        seen[box] += 1
        outer = grow(box, halo, shape)
        assert all(0 <= o.start <= b.start < b.stop <= o.stop <= n for o, b, n in zip(outer, box, shape, strict=True))
        assert all(b.start - o.start in (h, b.start) for o, b, h in zip(outer, box, halo, strict=True))
        there = np.arange(np.prod(shape)).reshape(shape)
        np.testing.assert_array_equal(there[outer][inside(box, outer)], there[box])
        assert box_shape(box) == there[box].shape
    assert (seen == 1).all()
