"""Tiles: the network's inputs with mirrored context, and what it has to learn on each, 64 to a shard."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.grid import Box, box_shape
from unetprep.kernels.formula import IGNORED, recorded_formula
from unetprep.kernels.separate import HALO_PX
from unetprep.kernels.tiling import border_px, output_size, tile_origins
from unetprep.layout import (
    SPLITS,
    TILES,
    TILES_A_SHARD,
    ArraySpec,
    Provenance,
    image_path,
    labels_path,
    pixels_path,
    weights_path,
)
from unetprep.params import TilesParams
from unetprep.stage import Blocks, Job, Stage
from unetprep.stages.weights import IMPORT
from unetprep.store import Store

KERNEL_VERSION = 1
BACKGROUND_DENSITY = 0.1  # of cells 1, of what counts for nothing 0: Falk et al. 2019
PER_TILE = {
    "image_index": "int32",
    "z": "int32",
    "y0": "int32",
    "x0": "int32",
    "split": "uint8",
    "foreground": "float32",
    "density": "float32",
    "intensity_low": "float32",
    "intensity_high": "float32",
}


@dataclass(frozen=True)
class Tiled:
    """What a task must know of one image."""

    name: str
    sides: tuple[int, int, int]  # (z, y, x)
    split: str
    intensity: tuple[float, float]

    def num_tiles(self, output_px: int) -> int:
        """How many tiles cover it."""
        z, y, x = self.sides
        return z * len(tile_origins(y, output_px)) * len(tile_origins(x, output_px))

    def origin(self, k: int, output_px: int) -> tuple[int, int, int]:
        """Where the output of its tile k begins, (z, y, x); tiles go along x first."""
        columns, rows = (len(tile_origins(n, output_px)) for n in (self.sides[2], self.sides[1]))
        z, rest = divmod(k, rows * columns)
        return z, rest // columns * output_px, rest % columns * output_px


@dataclass(frozen=True)
class TilesJob(Job):
    """All arrays of the group `tiles`."""

    images: tuple[Tiled, ...]
    params: TilesParams
    planes: int  # of a chunk of the images: 1, or more of a volume
    reach_px: int = 0  # how far around the output a cell matters, where instances are kept

    @cached_property
    def starts(self) -> list[int]:
        """The number of the first tile of each image, and behind them the number of all tiles."""
        output_px = output_size(self.params.tile_px, self.params.depth)
        return list(accumulate((image.num_tiles(output_px) for image in self.images), initial=0))

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """Some of the up to 64 tiles of a shard, one after the other."""
        made = {
            spec.path.rpartition("/")[2]: np.empty(box_shape(box), spec.dtype)
            for spec, box in zip(self.outputs, boxes, strict=True)
        }
        for row, k in enumerate(range(boxes[0][0].start, boxes[0][0].stop)):
            for name, values in self._tile(store, k).items():
                made[name][row] = values
        return tuple(made.values())

    def compute_bytes(self) -> int:
        """All tiles of a block; of one of them each array twice, as read and mirrored, and its compressed chunks."""
        sizes = [self.num_values(spec) * np.dtype(spec.dtype).itemsize for spec in self.outputs]
        image, target, weights, *rest = (size / self.block_shape[0] for size in sizes)
        one = max(2 * image + target + weights, target + 3 * weights)
        if self.params.instances:
            one = max(one, image + target + weights + 3 * rest[0])
        return round(sum(sizes) + one + self.planes * weights / 2)

    def _tile(self, store: Store, k: int) -> dict[str, Any]:
        which = int(np.searchsorted(self.starts, k, side="right")) - 1
        image, p = self.images[which], self.params
        output_px = output_size(p.tile_px, p.depth)
        z, y0, x0 = image.origin(k - self.starts[which], output_px)
        context = border_px(p.depth) // 2 + p.margin_px
        outer, inner = p.tile_px + 2 * p.margin_px, output_px + 2 * p.margin_px
        pixels = store.shards(pixels_path(image.name))
        around = (z, y0 - p.margin_px, x0 - p.margin_px)
        target = store.read_mirrored(labels_path(image.name, "target"), around, (1, inner, inner))[0]
        weights = store.read_mirrored(weights_path(image.name), around, (1, inner, inner))[0]
        in_image = self._in_image(image, around, inner)
        counts = in_image & (weights > 0)
        instances = {"instances": self._instances(store, image, around, inner)} if p.instances else {}
        middle = np.s_[p.margin_px : inner - p.margin_px, p.margin_px : inner - p.margin_px]
        return {
            "image": store.read_mirrored(
                pixels_path(image.name), (0, z, y0 - context, x0 - context), (pixels.shape[0], 1, outer, outer)
            )[:, 0],
            "target": target,
            "weights": np.where(in_image, weights, 0),
            **instances,
            "foreground": target[middle][in_image[middle]].mean(),
            "density": np.where(target[middle] > 0, 1, BACKGROUND_DENSITY)[counts[middle]].sum() / output_px**2,
            "image_index": which,
            "z": z,
            "y0": y0,
            "x0": x0,
            "split": SPLITS.index(image.split),
            "intensity_low": image.intensity[0],
            "intensity_high": image.intensity[1],
        }

    def _instances(self, store: Store, image: Tiled, around: tuple[int, int, int], side: int) -> NDArray[np.integer]:
        """The cells, reaching further than the target; outside the image nothing is known."""
        z, y, x = around
        start, side = (z, y - self.reach_px, x - self.reach_px), side + 2 * self.reach_px
        ids = store.read_mirrored(labels_path(image.name, "instances"), start, (1, side, side))[0]
        return np.where(self._in_image(image, start, side), ids, IGNORED)

    @staticmethod
    def _in_image(image: Tiled, start: tuple[int, int, int], side: int) -> NDArray[np.bool_]:
        rows, columns = (
            (np.arange(a, a + side) >= 0) & (np.arange(a, a + side) < n)
            for a, n in zip(start[1:], image.sides[1:], strict=True)
        )
        return rows[:, None] & columns


def plan_tiles(store: Store, params: TilesParams) -> Sequence[Job]:
    """One job for the tiles of all images."""
    if not store.names:
        raise InvalidInput(f"{store.url} holds no images", hint=f"run: {IMPORT}")
    channels: dict[str, int] = {}
    inputs: dict[str, str] = {}
    dtypes, images = set(), []
    for name in store.names:
        pixels = store.finished_array(pixels_path(name), IMPORT)
        channels[name] = pixels.shape[0]
        dtypes.add(pixels.dtype)
        paths = [pixels_path(name), labels_path(name, "target"), weights_path(name)]
        paths += [labels_path(name, "instances")] if params.instances else []
        for path in paths:
            store.finished_array(path, f"unetprep weights --out {store.url}")
        inputs |= {path: store.record(path)["fingerprint"] for path in paths}
        record = store.record(image_path(name))
        z, y, x = pixels.shape[1:]
        images.append(Tiled(name, (z, y, x), record["split"], tuple(record["intensity"])))
    _check_channels(channels)
    _common_rule(store)
    rule = _weight_rule(store, params) if params.instances else {}
    made = Provenance(
        "tiles",
        KERNEL_VERSION,
        {
            "tile_px": params.tile_px,
            "margin_px": params.margin_px,
            "depth": params.depth,
            "codec": params.codec,
            "images": {i.name: [i.split, *i.intensity] for i in images},
            **({"instances": rule} if rule else {}),
        },
        inputs,
    )
    planes = max(store.shards(pixels_path(name)).chunk[1] for name in store.names)
    job = TilesJob((), tuple(images), params, planes, rule.get("reach_px", 0))
    return [replace(job, outputs=_outputs(job, next(iter(channels.values())), np.result_type(*dtypes).name, made))]


def _weight_rule(store: Store, params: TilesParams) -> dict[str, Any]:
    """How weights follow from instances, the same in all images; `reach_px`: how far from a pixel a cell can matter."""
    rules = {}
    for name in store.names:
        weights, target = store.record(weights_path(name)), store.record(labels_path(name, "target"))
        made = {**weights["parameters"], **target["parameters"]}
        rules[name] = {key: value for key, value in made.items() if key not in ("engine", "dims")}
        if store.dims(name) != 2:
            raise InvalidInput(
                f"image {name!r} is a volume: its weights follow from cells in other slices, which no tile holds",
                allowed="--instances with images whose slices are independent (dims 2)",
            )
        if len({*made["spacing"]}) > 1:
            raise InvalidInput(
                f"the weights of {name!r} have spacing {made['spacing']}, which a quarter turn would exchange",
                allowed="--instances with pixels as wide as high",
            )
    first, *_ = rules
    for name, rule in rules.items():
        if rule != rules[first]:
            key = next(k for k in sorted({*rule, *rules[first]}) if rule.get(k) != rules[first].get(k))
            raise InvalidInput(
                f"the weights of {first!r} and {name!r} were made with different {key.replace('_', '-')}:"
                f" {rules[first].get(key)} and {rule.get(key)}",
                allowed="--instances with weights of one kind in the whole store",
                hint=f"unetprep weights --out {store.url} --overwrite",
            )
    reach = max(HALO_PX, *(ceil(recorded_formula(rules[first]).reach / size) for size in rules[first]["spacing"]))
    if reach > border_px(params.depth) // 2:
        raise InvalidInput(
            f"cells matter up to {reach} pixels away, and a tile of depth {params.depth} reaches"
            f" {border_px(params.depth) // 2} beyond its output",
            allowed="--instances with a greater --depth, or weights of a smaller sigma",
        )
    return {**rules[first], "reach_px": reach}


def _outputs(job: TilesJob, channels: int, dtype: str, made: Provenance) -> tuple[ArraySpec, ...]:
    params, total = job.params, job.starts[-1]
    outer = params.tile_px + 2 * params.margin_px
    inner = outer - border_px(params.depth)
    wide = inner + 2 * job.reach_px
    inset = -params.margin_px
    context = inset - border_px(params.depth) // 2
    instances = {"instances": ((wide, wide), ("y_cells", "x_cells"), "int32")} if params.instances else {}
    arrays = {
        "image": ((channels, outer, outer), ("c", "y", "x"), dtype),
        "target": ((inner, inner), ("y_out", "x_out"), "uint8"),
        "weights": ((inner, inner), ("y_out", "x_out"), "float32"),
        **instances,
        **{name: ((), (), kind) for name, kind in PER_TILE.items()},
    }
    shard = min(TILES_A_SHARD, total)
    return tuple(
        ArraySpec(
            f"{TILES}/{name}",
            (total, *sides),
            kind,
            ("tile", *dims),
            (1 if sides else shard, *sides),
            (shard, *sides),
            made,
            codec=params.codec if sides else "zstd",
            origins={
                "y": context,
                "x": context,
                "y_out": inset,
                "x_out": inset,
                "y_cells": inset - job.reach_px,
                "x_cells": inset - job.reach_px,
            },
        )
        for name, (sides, dims, kind) in arrays.items()
    )


def _check_channels(channels: dict[str, int]) -> None:
    if len(set(channels.values())) > 1:
        first, *_ = channels
        other = next(name for name in channels if channels[name] != channels[first])
        raise InvalidInput(
            f"image {first!r} has {channels[first]} channels and image {other!r} has {channels[other]}",
            allowed="one number of channels for all images of a store",
            hint="put grey and colour images into stores of their own",
        )


def _common_rule(store: Store) -> str:
    """The rule by which the intensities of all images were found, which holds for images to come."""
    rules = {name: store.record(image_path(name))["intensity_rule"] for name in store.names}
    if len(set(rules.values())) > 1:
        raise InvalidInput(
            f"the images of {store.url} were imported with different --intensity: {rules}",
            hint="import them anew with one rule; a network needs to know which one holds for new images",
        )
    return str(next(iter(rules.values())))


def describe_tiles(store: Store, params: TilesParams) -> None:
    """Write the geometry, and which arrays are coordinates, into the group's attributes."""
    store.update_record(
        TILES,
        names=store.names,
        tile=params.tile_px,
        output=output_size(params.tile_px, params.depth),
        margin=params.margin_px,
        depth=params.depth,
        intensity_rule=_common_rule(store),
    )
    store.set_coordinates(TILES, [*PER_TILE])
    if not params.instances:  # those of tiles that have been replaced
        for name in ("instances", "y_cells", "x_cells"):
            store.remove(f"{TILES}/{name}")


TILES_STAGE = Stage("tiles", TilesParams, (plan_tiles,), describe_tiles)
