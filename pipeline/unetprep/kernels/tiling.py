"""Tile and output sizes of an unpadded U-Net (Ronneberger et al. 2015, section 2), and overlap-tile positions.

Every level reduces the side by 4 pixels (two 3x3 convolutions): `depth` levels in the contracting path, the bottom
level, and `depth` levels in the expanding path. Pooling halves the side, which must be even. With b the side that
enters the bottom level, tile = 2^depth b + 4 (2^depth - 1) and output = tile - (12 * 2^depth - 8) = 2^depth (b - 8) +
4: at depth 4, 572 gives 388.
"""


def border_px(depth: int = 4) -> int:
    """Difference between the sides of a tile and its output: 184 pixels at depth 4."""
    return 12 * (1 << depth) - 8


def smallest_tile(depth: int = 4) -> int:
    """The smallest legal tile: 188 at depth 4, which gives 4 pixels of output."""
    bottom = 7 if depth == 1 else 8  # the smallest b with a non-empty output
    return (1 << depth) * bottom + 4 * ((1 << depth) - 1)


def is_legal_tile(tile_px: int, depth: int = 4) -> bool:
    """Whether a network of this depth can process a tile of this side without an odd side before pooling."""
    return tile_px >= smallest_tile(depth) and (tile_px - smallest_tile(depth)) % (1 << depth) == 0


def legal_tiles_near(tile_px: int, depth: int = 4) -> tuple[int, int]:
    """The nearest legal tiles, (at most, at least) `tile_px`; both are the smallest tile if `tile_px` is smaller."""
    smallest, step = smallest_tile(depth), (1 << depth)
    if tile_px <= smallest:
        return smallest, smallest
    below = tile_px - (tile_px - smallest) % step
    return below, below if below == tile_px else below + step


def output_size(tile_px: int, depth: int = 4) -> int:
    """Side of the network's output for a legal tile: 388 for 572 at depth 4."""
    assert is_legal_tile(tile_px, depth), (tile_px, depth)
    return tile_px - border_px(depth)


def tile_origins(length_px: int, output_px: int, stride_px: int | None = None) -> range:
    """Origins of the outputs of tiles along one axis that cover `length_px` pixels.

    Without a stride each pixel is covered once. With a stride under `output_px` the outputs overlap, and the last
    origin is the first one whose output reaches the edge.
    """
    step = stride_px or output_px
    return range(0, max(0, length_px - output_px) + step, step)
