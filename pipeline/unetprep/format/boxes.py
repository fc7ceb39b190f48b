"""Boxes, and the shards that divide an array. Integer arithmetic only.

A task owns one shard of its output. It reads a box that is larger by the halo, and writes the shard alone:

            +-------------------+
            |   halo            |
            |   +-----------+   |
            |   |   shard   |   |      read: the outer box, cut off at the edge of the image
            |   +-----------+   |      written: the inner one
            |                   |
            +-------------------+
"""

Box = tuple[slice, ...]
Index = tuple[int, ...]


def shard_counts(shape: tuple[int, ...], shard: tuple[int, ...]) -> Index:
    """How many shards lie along each axis."""
    return tuple(-(-n // s) for n, s in zip(shape, shard, strict=True))


def shard_box(index: Index, shape: tuple[int, ...], shard: tuple[int, ...]) -> Box:
    """The part of an array that one shard holds."""
    return tuple(slice(i * s, min(n, (i + 1) * s)) for i, n, s in zip(index, shape, shard, strict=True))


def grow(box: Box, halo: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    """The box with its halo, cut off where the array ends."""
    return tuple(slice(max(0, b.start - h), min(n, b.stop + h)) for b, h, n in zip(box, halo, shape, strict=True))


def inside(box: Box, outer: Box) -> Box:
    """Where `box` lies within an array that was read at `outer`."""
    return tuple(slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, outer, strict=True))


def box_shape(box: Box) -> tuple[int, ...]:
    """Sides of a box."""
    return tuple(b.stop - b.start for b in box)
