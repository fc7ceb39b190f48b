"""Boxes, and the shards that divide an array. Integer arithmetic only.

A task owns one shard of its output. It reads the box of the shard with a halo, and writes only the shard:

            +-------------------+
            |   halo            |
            |   +-----------+   |
            |   |   shard   |   |      read: the outer box, clipped to the image
            |   +-----------+   |      written: the inner box
            |                   |
            +-------------------+
"""

Box = tuple[slice, ...]
Index = tuple[int, ...]


def shard_counts(shape: tuple[int, ...], shard: tuple[int, ...]) -> Index:
    """Number of shards along each axis."""
    return tuple(-(-n // s) for n, s in zip(shape, shard, strict=True))


def shard_box(index: Index, shape: tuple[int, ...], shard: tuple[int, ...]) -> Box:
    """The box of an array that one shard holds."""
    return tuple(slice(i * s, min(n, (i + 1) * s)) for i, n, s in zip(index, shape, shard, strict=True))


def grow(box: Box, halo: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    """The box with its halo, clipped to the array."""
    return tuple(slice(max(0, b.start - h), min(n, b.stop + h)) for b, h, n in zip(box, halo, shape, strict=True))


def inside(box: Box, outer: Box) -> Box:
    """The position of `box` in an array that was read at `outer`."""
    return tuple(slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, outer, strict=True))


def box_shape(box: Box) -> tuple[int, ...]:
    """Shape of a box."""
    return tuple(b.stop - b.start for b in box)
