"""Affected shards and tiles of an edit."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unetprep.format import layout
from unetprep.format.boxes import grow
from unetprep.format.layout import ArraySpec, Provenance
from unetprep.kernels.mirror import mirrored_tile
from unetprep.params import TilesParams
from unetprep.relabeling.affected import affected_shards, affected_tiles, changed_box
from unetprep.stages.tile_positions import TiledImage, TilePositions
from unetprep.stages.tiles import TilesJob

TILES = TilesParams(tile_px=60, depth=2, margin_px=8)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_shard_is_stale_just_where_what_it_reads_meets_the_edit(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 20)] * 3))
    shard = data.draw(st.tuples(*[st.integers(1, 7)] * 3))
    halo = data.draw(st.tuples(*[st.integers(0, 6)] * 3))
    first = [data.draw(st.integers(0, n - 1)) for n in shape]
    box = tuple(slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(first, shape, strict=True))
    spec = ArraySpec("x", shape, "int32", layout.AXES, shard, shard, Provenance("", 0, {}, {}))
    changed = np.zeros(shape, bool)
    changed[box] = True
    found = affected_shards(spec, [box], halo)
    for index in np.ndindex(*(-(-n // s) for n, s in zip(shape, shard, strict=True))):
        read = tuple(slice(max(0, i * s - h), (i + 1) * s + h) for i, s, h in zip(index, shard, halo, strict=True))
        assert (index in found) == changed[read].any()


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_tile_is_stale_just_where_its_mirrored_window_meets_the_edit(data: st.DataObject) -> None:
    sides = [tuple(data.draw(st.integers(1, n)) for n in (3, 70, 70)) for _ in range(2)]
    stride, random = data.draw(st.sampled_from([(None, None), (7, None), (None, 15)]))
    images = tuple(
        TiledImage(name, shape, "train", (0.0, 1.0), f"images/{name}")  # type: ignore[arg-type]
        for name, shape in zip("ab", sides, strict=True)
    )
    places = TilePositions(images, replace(TILES, stride_px=stride, random=random))
    shape = (places.starts[-1], 1)
    spec = ArraySpec("tiles/image", shape, "uint8", ("tile", "c"), (1, 1), (1, 1), Provenance("", 0, {}, {}))
    job = TilesJob((spec,), places, (1, 256, 256))
    first = [data.draw(st.integers(0, n - 1)) for n in sides[1]]
    box = tuple(slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(first, sides[1], strict=True))
    halo = (0, data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5)))
    changed = np.zeros(sides[1], bool)
    changed[grow(box, halo, sides[1])] = True
    found = affected_tiles(job, {"b": [box]}, {"b": halo})
    _, first_of_b, total = places.starts
    for k, (which, z, y, x) in enumerate(places.at(first_of_b, total).tolist(), first_of_b):
        window = mirrored_tile(changed[z], (y - 8, x - 8), (36, 36))
        assert which == 1
        assert ((k, 0) in found) == window.any()
    assert all(index[0] >= first_of_b for index in found)


def test_the_changed_box_is_the_smallest_and_lies_where_the_shard_lies() -> None:
    before = np.zeros((2, 6, 8), np.int32)
    after, box = before.copy(), (slice(10, 12), slice(20, 26), slice(0, 8))
    assert changed_box(before, after, box) is None
    after[1, 2, 3] = after[1, 4, 7] = 5
    assert changed_box(before, after, box) == (slice(11, 12), slice(22, 25), slice(3, 8))
