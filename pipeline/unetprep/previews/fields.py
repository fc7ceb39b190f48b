"""Data of a deformation preview: a checkerboard and a tile, undeformed and deformed by each field. No drawing."""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.layout import GRIDS, labels_path, pixels_path
from unetprep.kernels.folding import folded_shares
from unetprep.kernels.spline import displacement_field, largest_displacements
from unetprep.kernels.warp import Transform, warp_tile
from unetprep.previews.weights import View, at_corner, chosen_image, chosen_slice
from unetprep.store import Store

SQUARES = 12  # of the checkerboard along a side of the tile
DARK, BRIGHT = 70, 200
MOST_FIELDS = 6


@dataclass(frozen=True)
class Moved:
    """A checkerboard and a tile deformed by one field. The last axes of arrays are (y, x)."""

    number: int | None  # of the field; None: undeformed
    largest_px: float  # largest displacement of a pixel
    folded: float  # share of the tile that is folded
    board: NDArray[np.float32]
    image: NDArray[np.float32] | None  # (c, y, x); None if only labels were imported
    instances: NDArray[np.int32]


@dataclass(frozen=True)
class FieldsPreview:
    """A tile of an image at pixel (y0, x0), undeformed and then under each of the fields."""

    name: str
    z: int
    y0: int
    x0: int
    tile_px: int
    made: dict[str, Any]  # parameters of the fields
    moved: tuple[Moved, ...]


def select_fields(url: str, view: View, numbers: tuple[int, ...]) -> FieldsPreview:
    """Read a tile, by default in the middle of the image, and deform it by each field.

    Raises InvalidInput if the image, slice, corner or a field does not exist, for more than `MOST_FIELDS` fields, and
    for a store without fields.
    """
    if len(numbers) > MOST_FIELDS:
        raise InvalidInput(f"{len(numbers)} fields are requested", allowed=f"up to {MOST_FIELDS} in one picture")
    store = Store.open(url)
    grids_of = store.finished_array(GRIDS, f"unetprep deform --out {url}")
    made = _made(store)
    side = view.size_px or int(made["tile_px"])
    name = chosen_image(store, view.image)
    place = store.place(name)
    shape = place.shape(store.shards(labels_path(place.group, "instances")).shape)
    z = chosen_slice(view.z, shape, name)
    y0, x0 = at_corner(view.at, shape, name) if view.at else ((shape[1] - side) // 2, (shape[2] - side) // 2)
    grids = {k: _grid(store, k, grids_of.shape[0]) for k in numbers}
    try:
        reach = largest_displacements(np.stack([*grids.values()]), side, made["interpolation"]).max()
    except ValueError as error:
        raise InvalidInput(f"the fields of {url} do not fit a tile of {side}: {error}") from None
    margin = ceil(reach) + 1
    start, outer = (z + place.first, y0 - margin, x0 - margin), side + 2 * margin
    labels, pixels = labels_path(place.group, "instances"), pixels_path(place.group)
    cells = store.read_mirrored(labels, start, (1, outer, outer), sides=place.sides)[0]
    image = None
    if store.record(pixels):
        channels = store.finished_array(pixels, f"unetprep import --out {url}").shape[0]
        image = store.read_mirrored(pixels, (0, *start), (channels, 1, outer, outer), sides=place.sides)[:, 0]
    board = _board(side, margin)
    layers = board[None] if image is None else np.concatenate([board[None].astype(image.dtype), image])

    def moved(number: int | None = None) -> Moved:
        grid, largest, folded = None, 0.0, 0.0
        if number is not None:
            grid = grids[number]
            largest = float(np.hypot(*displacement_field(grid, (side, side), made["interpolation"])).max())
            folded = float(folded_shares(grid[None], (side, side), made["interpolation"])[0])
        transform = Transform(grid=grid, interpolation=made["interpolation"])
        out, instances, _ = warp_tile(layers, cells, None, transform, side)
        return Moved(
            number, largest, folded, out[0], None if image is None else out[1:], np.asarray(instances, np.int32)
        )

    return FieldsPreview(name, z, y0, x0, side, made, (moved(), *map(moved, numbers)))


def _made(store: Store) -> dict[str, Any]:
    found: dict[str, Any] = store.parameters(GRIDS)
    missing = [key for key in ("grid", "sigma_px", "seed", "interpolation", "tile_px") if key not in found]
    if missing:
        raise InvalidInput(
            f"the fields of {store.url} were computed by another version: {', '.join(missing)} is not recorded",
            hint=f"run: unetprep deform --out {store.url} --overwrite",
        )
    return found


def _grid(store: Store, number: int, num_fields: int) -> NDArray[np.float32]:
    if not 0 <= number < num_fields:
        raise InvalidInput(f"field is {number}", allowed=f"0 to {num_fields - 1}, the fields of {store.url}")
    return np.asarray(store.read(GRIDS, (slice(number, number + 1), *(slice(None),) * 3))[0])


def _board(side: int, margin: int) -> NDArray[np.uint8]:
    """A checkerboard that extends beyond the tile by a margin."""
    square = np.arange(-margin, side + margin) // max(1, round(side / SQUARES))
    return np.where((square[:, None] + square) % 2, DARK, BRIGHT).astype(np.uint8)
