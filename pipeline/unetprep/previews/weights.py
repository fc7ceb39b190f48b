"""Data of a weight-map preview: a window of one slice, with distances and weights. No drawing.

It reads the window, the halo in which a cell can change a weight, and, to choose the default window, a bounded number
of shards. So images may have any size.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, Index, grow, inside, shard_box
from unetprep.format.layout import counts_path, labels_path, pixels_path, weights_path
from unetprep.format.places import ImagePlace
from unetprep.kernels.two_nearest import two_nearest
from unetprep.kernels.weight_formula import Formula, recorded_formula
from unetprep.store import Store
from unetprep.suggestions import did_you_mean

IMPORT = "unetprep import --image IMAGES --labels LABELS --out STORE"
USUAL_PX, SMALLEST_PX, LARGEST_PX = 512, 16, 2048  # a panel cannot show more pixels
MAX_COUNTS = 256  # number of shards whose class counts are read
MAX_SHARDS = 4  # number of shards that are searched
STEPS = 4  # the search moves the window by its side / STEPS


@dataclass(frozen=True)
class View:
    """View of an image: name, slice, upper left corner and side of the window. None selects a default.

    Defaults: the first image, the middle slice, and a side of `USUAL_PX`, or with fields the side of their tiles.
    """

    image: str | None = None
    z: int | None = None
    at: tuple[int, int] | None = None
    size_px: int | None = None

    def __post_init__(self) -> None:
        if self.size_px is not None and not SMALLEST_PX <= self.size_px <= LARGEST_PX:
            raise InvalidInput(f"size is {self.size_px} pixels", allowed=f"{SMALLEST_PX} to {LARGEST_PX}")


@dataclass(frozen=True)
class Made:
    """Parameters of a weight map."""

    name: str
    formula: Formula
    class_weights: tuple[float, ...]  # background, cell
    spacing: tuple[float, ...]  # of the axes along which distances are measured

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Made":
        """The recorded parameters of a weight map."""
        formula = recorded_formula(record)
        return cls(record["formula"], formula, tuple(record["class_weights"]), tuple(record["spacing"]))

    @property
    def reach(self) -> float:
        """Largest measured distance: the distance up to which a cell changes weights, at least 1."""
        return max(1.0, self.formula.reach)

    @property
    def halo(self) -> tuple[int, ...]:
        """The reach in pixels along z, y and x; 0 across independent slices."""
        return tuple([0] * (3 - len(self.spacing)) + [math.ceil(self.reach / step) for step in self.spacing])


@dataclass(frozen=True)
class Preview:
    """Data of a window of one slice. The last axes of its arrays are (y, x), from pixel (y0, x0) of the image on."""

    name: str
    dims: int
    shape: tuple[int, ...]  # of the whole image, (z, y, x)
    z: int
    y0: int
    x0: int
    made: Made
    image: NDArray[Any] | None  # (c, y, x); None if only labels were imported
    instances: NDArray[np.int32]  # below 0: ignored
    target: NDArray[np.uint8]
    distances: NDArray[np.float64]  # (2, y, x), in the unit of the spacing; infinite from the reach on
    weights: NDArray[np.float32]


def select(url: str, view: View) -> Preview:
    """Read the data of a view.

    Raises InvalidInput if the image, slice or corner does not exist, and, with the command to run, if the weights have
    not been computed.
    """
    store = Store.open(url)
    name = chosen_image(store, view.image)
    place = store.place(name)
    group = place.group
    shape = place.shape(store.finished_array(weights_path(group), f"unetprep weights --out {url}").shape)
    made = _made(store, group)
    z = chosen_slice(view.z, shape, name)
    side = view.size_px or USUAL_PX
    y, x = at_corner(view.at, shape, name) if view.at else _busiest(store, place, z, side, made, url)
    box = tuple(slice(a, min(n, a + s)) for a, s, n in zip((z, y, x), (1, side, side), shape, strict=True))
    labels, distances = _cells(store, place, box, shape, made)
    has_image = bool(store.record(pixels_path(group)))
    if has_image:
        store.finished_array(pixels_path(group), IMPORT)
    stored = place.box(box)
    return Preview(
        name=name,
        dims=store.dims(group),
        shape=shape,
        z=z,
        y0=y,
        x0=x,
        made=made,
        image=store.read(pixels_path(group), (slice(None), *stored))[:, 0] if has_image else None,
        instances=labels[0],
        target=store.read(labels_path(group, "target"), stored)[0],
        distances=distances[:, 0],
        weights=store.read(weights_path(group), stored)[0],
    )


def chosen_image(store: Store, asked: str | None) -> str:
    """The requested image, by default the first."""
    names = store.names
    if not names:
        raise InvalidInput(f"{store.url} holds no image", hint=f"run: {IMPORT}")
    if asked is not None and asked not in names:
        more = f", and {len(names) - 10} more" if len(names) > 10 else ""
        raise InvalidInput(
            f"{store.url} holds no image {asked!r}",
            allowed=", ".join(names[:10]) + more,
            hint=did_you_mean(asked, names),
        )
    return asked or names[0]


def _made(store: Store, group: str) -> Made:
    path = weights_path(group)
    try:
        return Made.of(store.record(path)["parameters"])
    except KeyError as missing:
        raise InvalidInput(
            f"{path} of {store.url} does not record all of its parameters: {missing} is missing or unknown",
            hint=f"run: unetprep weights --out {store.url} --overwrite",
        ) from None


def chosen_slice(asked: int | None, shape: tuple[int, ...], name: str) -> int:
    """The requested slice, by default the middle one."""
    if asked is not None and not 0 <= asked < shape[0]:
        raise InvalidInput(f"z is {asked}", allowed=f"0 to {shape[0] - 1}, the slices of {name}")
    return shape[0] // 2 if asked is None else asked


def at_corner(asked: tuple[int, int], shape: tuple[int, ...], name: str) -> tuple[int, int]:
    """The requested corner. Raises InvalidInput if it is outside the image."""
    if not all(0 <= a < n for a, n in zip(asked, shape[1:], strict=True)):
        raise InvalidInput(
            f"at is {asked[0]},{asked[1]}",
            allowed=f"Y from 0 to {shape[1] - 1} and X from 0 to {shape[2] - 1}, the pixels of {name}",
        )
    return asked


def _cells(
    store: Store, place: ImagePlace, box: Box, shape: tuple[int, ...], made: Made
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The instances of a box, and the distances of its pixels to the two nearest instances, also outside the box."""
    outer = grow(box, made.halo, shape)
    labels, core = store.read(labels_path(place.group, "instances"), place.box(outer)), inside(box, outer)
    return labels[core], two_nearest(labels, made.reach, made.spacing, len(made.spacing))[:, *core]


def _busiest(store: Store, place: ImagePlace, z: int, size_px: int, made: Made, url: str) -> tuple[int, int]:
    """The corner of the window with the largest border term, then the most cells, in the shards with most cells."""
    path, counts_of = labels_path(place.group, "target"), counts_path(place.group)
    target = store.shards(path)
    sides = place.sides or target.shape[1:]
    counts = store.finished_array(counts_of, f"unetprep weights --out {url}")
    step = math.ceil(math.sqrt(math.prod(counts.shape[1:3]) / MAX_COUNTS))
    rows_at, columns_at = (range(0, n, step) for n in counts.shape[1:3])
    shard_z = (z + place.first) // (1 if place.sides else target.shard[0])
    cell_px = np.array([[_cell_px(store, counts_of, (shard_z, i, j)) for j in columns_at] for i in rows_at])
    best, corner = (-1.0, -1.0), (0, 0)
    for k in np.argsort(-cell_px, axis=None, kind="stable")[:MAX_SHARDS]:
        row, column = (int(i) * step for i in np.unravel_index(k, cell_px.shape))
        _, rows, columns = shard_box((0, row, column), (1, *sides), target.shard)
        box = place.box((slice(z, z + 1), rows, columns))
        cells = store.read(path, box)[0] != 0
        border = (store.read(weights_path(place.group), box)[0] - made.class_weights[0]).clip(min=0)
        border[cells] = 0
        block = size_px // STEPS
        seen = np.stack([_window_sums(border, block), _window_sums(cells, block)], axis=-1)
        i, j = max(np.ndindex(seen.shape[:2]), key=lambda ij: tuple(seen[ij]))
        if tuple(seen[i, j]) > best:
            best, corner = tuple(seen[i, j]), (rows.start + i * block, columns.start + j * block)
    y, x = (max(0, min(a, n - size_px)) for a, n in zip(corner, sides, strict=True))
    return y, x


def _cell_px(store: Store, counts_of: str, index: Index) -> int:
    """Number of cell pixels in a shard of the target."""
    return int(store.read(counts_of, (*(slice(i, i + 1) for i in index), slice(1, 2))).item())


def _window_sums(values: NDArray[Any], block: int) -> NDArray[np.float64]:
    """Sums over all windows of STEPS x STEPS blocks, fewer where the array has fewer blocks."""
    for axis in (0, 1):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], block), axis, dtype=np.float64)
        width = min(STEPS, values.shape[axis])
        values = np.lib.stride_tricks.sliding_window_view(values, width, axis).sum(axis=-1)
    return values
