"""Interpolation methods of displacement grids, and the number of nodes that they need. No imports."""

INTERPOLATIONS = ("bspline", "bspline-approx")
SPACING_PX = 150  # of the nodes of bspline-approx


def nodes_needed(length_px: int) -> int:
    """Number of nodes that bspline-approx needs along a side of `length_px` pixels."""
    return -(-(length_px - 1) // SPACING_PX) + 3
