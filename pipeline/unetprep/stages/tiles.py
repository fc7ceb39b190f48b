"""Stage `tiles`: network inputs with mirrored context, their targets and weights, 64 tiles to a shard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.format.layout import (
    CUT,
    LEARNED,
    PLACES,
    TILES,
    ArraySpec,
    Provenance,
    absent_from_tiles,
    labels_path,
    pixels_path,
    weights_path,
)
from unetprep.kernels.separate import HALO_PX
from unetprep.kernels.tiling import border_px, output_size
from unetprep.kernels.weight_formula import IGNORED, recorded_formula
from unetprep.kernels.weights import NUM_CLASSES
from unetprep.lengths import METERS
from unetprep.params import TilesParams
from unetprep.stages.base import Blocks, Job, Shape
from unetprep.stages.classes import classes_path, num_classes
from unetprep.stages.tile_positions import TiledImage, TilePositions, TilePositionsJob, plan_positions
from unetprep.stages.weights import IMPORT
from unetprep.storage.lru_cache import ArrayCache
from unetprep.store import Store

if TYPE_CHECKING:
    from unetprep.format.sharding import Chunks

KERNEL_VERSION = 2
TILES_A_BLOCK = 8  # few enough that the CPU's cache holds them until they are compressed
KEPT_BYTES = 128 * 2**20  # of decoded chunks, while the tiles of a shard are cut
Arrays = Mapping[str, NDArray[Any]]  # of one tile, by name
BACKGROUND_DENSITY = 0.1  # that of cells is 1, that of ignored pixels 0: Falk et al. 2019


@dataclass(frozen=True)
class TilesJob(Job):
    """Arrays that are cut from the images for each tile; with `index_only`, only those of LEARNED."""

    positions: TilePositions
    chunk: tuple[int, int, int]  # largest chunk of the images, (z, y, x)
    reach_px: int = 0  # how far around the output a cell matters, where instances are kept
    recent: ArrayCache | None = field(default=None, kw_only=True, compare=False)  # of the shard that is being computed

    @property
    def params(self) -> TilesParams:
        """The parameters of the stage."""
        return self.positions.params

    def encode(self, store: Store, boxes: Sequence[Box]) -> "list[Chunks]":
        """The compressed chunks of a shard. Its blocks share decoded chunks, unless blocks were chosen for a limit."""
        return Job.encode(self if self.block else replace(self, recent=ArrayCache(KEPT_BYTES)), store, boxes)

    def compute(self, store: Store, boxes: Sequence[Box]) -> Blocks:
        """Some tiles of a shard, one after the other; chunks that neighbouring tiles share are decoded once."""
        made = {
            spec.path.rpartition("/")[2]: np.empty(box_shape(box), spec.dtype)
            for spec, box in zip(self.outputs, boxes, strict=True)
        }
        recent = ArrayCache(KEPT_BYTES) if self.recent is None else self.recent
        for row, place in enumerate(self.positions.at(boxes[0][0].start, boxes[0][0].stop).tolist()):
            tile = {name: values[row] for name, values in made.items() if name not in LEARNED}
            for name, value in self._tile(store, recent, tile, *place).items():
                made[name][row] = value
        return tuple(made.values())

    @property
    def block_shape(self) -> Shape:
        """The tiles that a task cuts at a time."""
        shard = self.outputs[0].shard
        return self.block or (min(TILES_A_BLOCK, shard[0]), *shard[1:])

    def compute_bytes(self) -> int:
        """Memory for all tiles of a block, cached chunks, and one array of a tile as it is read, before mirroring.

        With `index_only`, target and weights are kept for a tile at a time.
        """
        sizes = {
            spec.path.rpartition("/")[2]: self.num_values(spec) * np.dtype(spec.dtype).itemsize for spec in self.outputs
        }
        image, instances = (sizes.get(name, 0) / self.block_shape[0] for name in ("image", "instances"))
        target = self._inner_px**2
        weights = 4 * target
        one = max(image, instances, 2 * weights + target)
        return round(sum(sizes.values()) + one + self._kept_bytes(image, instances))

    def _kept_bytes(self, image: float, instances: float) -> float:
        """Bytes of cached chunks, for tiles whose image and instances have so many bytes."""
        outer_px, output_px = (
            self.params.tile_px + 2 * self.params.margin_px,
            self._inner_px - 2 * self.params.margin_px,
        )
        of_image, of_cells = image / outer_px**2, 4 * bool(instances) + 5  # bytes a pixel; target and weights have 5
        depth, *sides = self.chunk
        largest = [max(i.sides[axis] for i in self.positions.images) for axis in (1, 2)]

        def touched(window_px: float) -> float:
            """Pixels of the chunks that a window meets."""
            along = (min(-(-n // c), window_px / c + 1) * c for n, c in zip(largest, sides, strict=True))
            return depth * prod(along)

        tiles_an_image = self.positions.starts[-1] / len(self.positions.images)
        num = (self.block or self.outputs[0].shard)[0]
        num_images = 1 + num / tiles_an_image
        wide = touched(output_px * max(1.0, min(num, tiles_an_image)) ** 0.5 + outer_px)
        by_tile = num * (of_image * touched(outer_px) + of_cells * touched(self._inner_px))
        return min(KEPT_BYTES, by_tile, num_images * (of_image + of_cells) * wide)

    @property
    def _inner_px(self) -> int:
        """Side of the target of a tile, its margin included."""
        return output_size(self.params.tile_px, self.params.depth) + 2 * self.params.margin_px

    def _tile(
        self, store: Store, recent: ArrayCache, out: Arrays, which: int, z: int, y0: int, x0: int
    ) -> dict[str, float]:
        """Write the arrays of a tile to `out`. Returns the values of LEARNED."""
        image, p, inner = self.positions.images[which], self.params, self._inner_px
        around = (z, y0 - p.margin_px, x0 - p.margin_px)
        target, weights = (
            self._window(store, recent, image, path, around, inner, out.get(name))
            for name, path in (("target", labels_path(image.group, "target")), ("weights", weights_path(image.group)))
        )
        in_image = _inside(image, around, inner)
        _fill_outside(weights, in_image, 0)
        output = tuple(slice(max(i.start, p.margin_px), min(i.stop, inner - p.margin_px)) for i in in_image)
        cells, counts = target[output] > 0, weights[output] > 0
        num_cells, num = np.count_nonzero(cells & counts), np.count_nonzero(counts)
        if "instances" in out:
            self._read_instances(store, recent, image, around, out["instances"])
        if "image" in out:
            self._read_image(store, recent, image, (z, y0, x0), out["image"])
        return {
            "foreground": np.count_nonzero(cells) / cells.size,
            "density": (num_cells + BACKGROUND_DENSITY * (num - num_cells)) / (inner - 2 * p.margin_px) ** 2,
        }

    def _read_image(
        self, store: Store, recent: ArrayCache, image: TiledImage, origin: tuple[int, int, int], out: NDArray[Any]
    ) -> None:
        """Read the pixels of a tile, (c, y, x)."""
        (z, y0, x0), p = origin, self.params
        before, outer = border_px(p.depth) // 2 + p.margin_px, p.tile_px + 2 * p.margin_px
        path = pixels_path(image.group)
        shape, start = (store.shards(path).shape[0], 1, outer, outer), (0, z + image.first, y0 - before, x0 - before)
        store.read_mirrored(path, start, shape, recent, image.sides[1:], out[:, np.newaxis])

    def _window(
        self,
        store: Store,
        recent: ArrayCache,
        image: TiledImage,
        path: str,
        start: tuple[int, int, int],
        side: int,
        out: NDArray[Any] | None,
    ) -> NDArray[Any]:
        """A square window of one slice of labels, target or weights, mirrored outside of the image."""
        (z, y, x), shape, whole = start, (1, side, side), None if out is None else out[np.newaxis]
        window: NDArray[Any] = store.read_mirrored(
            path, (z + image.first, y, x), shape, recent, image.sides[1:], whole
        )[0]
        return window

    def _read_instances(
        self, store: Store, recent: ArrayCache, image: TiledImage, around: tuple[int, int, int], out: NDArray[Any]
    ) -> None:
        """Read the cells, `reach_px` further than the target; pixels outside of the image are ignored."""
        z, y, x = around
        start, side = (z, y - self.reach_px, x - self.reach_px), self._inner_px + 2 * self.reach_px
        self._window(store, recent, image, labels_path(image.group, "instances"), start, side, out)
        _fill_outside(out, _inside(image, start, side), IGNORED)


def _inside(image: TiledImage, start: tuple[int, int, int], side: int) -> tuple[slice, slice]:
    """The rows and columns of a window that lie in the image."""
    rows, columns = (slice(max(0, -a), min(side, n - a)) for a, n in zip(start[1:], image.sides[1:], strict=True))
    return rows, columns


def _fill_outside(values: NDArray[Any], part: tuple[slice, slice], value: int) -> None:
    """Set all values outside of some rows and columns."""
    rows, columns = part
    for outside in (slice(0, rows.start), slice(rows.stop, None)):
        values[outside] = value
    for outside in (slice(0, columns.start), slice(columns.stop, None)):
        values[rows, outside] = value


def plan_tiles(store: Store, params: TilesParams) -> Sequence[Job]:
    """One job for the tiles of all images, whose positions are known."""
    (placed,) = plan_positions(store, params)
    assert isinstance(placed, TilePositionsJob)
    channels: dict[str, int] = {}
    inputs = {placed.outputs[0].path: placed.outputs[0].provenance.fingerprint}
    dtypes = set()
    for group in store.groups:
        pixels = store.finished_array(pixels_path(group), IMPORT)
        channels[group] = pixels.shape[0]
        dtypes.add(pixels.dtype)
        paths = [pixels_path(group), labels_path(group, "target"), weights_path(group)]
        paths += [labels_path(group, "instances")] if params.instances else []
        for path in paths:
            store.finished_array(path, f"unetprep weights --out {store.url}")
        inputs |= {path: store.record(path)["fingerprint"] for path in paths}
    _check_channels(channels)
    _common_rule(store)
    rule = {"instances": _weight_rule(store, params)} if params.instances else {}
    num_channels, dtype = next(iter(channels.values())), np.result_type(*dtypes).name
    how = {"index_only": {"channels": num_channels, "dtype": dtype}} if params.index_only else {"codec": params.codec}
    made = Provenance("tiles", KERNEL_VERSION, {**how, **rule}, inputs)
    depth, height, width = map(
        max, zip(*(store.shards(pixels_path(group)).chunk[1:] for group in store.groups), strict=True)
    )
    job = TilesJob((), placed.positions, (depth, height, width), rule["instances"]["reach_px"] if rule else 0)
    return [replace(job, outputs=_outputs(job, num_channels, dtype, made))]


def _weight_rule(store: Store, params: TilesParams) -> dict[str, Any]:
    """How weights follow from instances, in all images alike; `reach_px` is the distance up to which a cell matters."""
    rules = {}
    for group in store.groups:
        weights = store.parameters(weights_path(group), "formula", "border_on", "spacing")
        made = {**weights, **store.parameters(labels_path(group, "target"), "separate")}
        rules[group] = {key: value for key, value in made.items() if key not in ("engine", "dims")}
        if classes_path(store, group):
            raise InvalidInput(
                f"the cells of {group} have classes, which tiles do not keep with their cells",
                allowed="--instances with cells without classes",
            )
        if store.dims(group) != 2:
            raise InvalidInput(
                f"{group} is a volume: its weights follow from cells in other slices, which no tile holds",
                allowed="--instances with images whose slices are independent (dims 2)",
            )
        if len({*made["spacing"]}) > 1:
            raise InvalidInput(
                f"the weights of {group} have spacing {made['spacing']}, which a quarter turn would exchange",
                allowed="--instances with pixels as wide as high",
            )
    first, *_ = rules
    for group, rule in rules.items():
        if rule != rules[first]:
            key = next(k for k in sorted({*rule, *rules[first]}) if rule.get(k) != rules[first].get(k))
            raise InvalidInput(
                f"the weights of {first} and {group} were made with different {key.replace('_', '-')}:"
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
    params, total, shard = job.params, job.positions.starts[-1], job.positions.tiles_a_shard
    outer = params.tile_px + 2 * params.margin_px
    inner = outer - border_px(params.depth)
    wide = inner + 2 * job.reach_px
    arrays: dict[str, tuple[tuple[int, ...], tuple[str, ...], str]] = {}
    if not params.index_only:
        arrays["image"] = ((channels, outer, outer), ("c", "y", "x"), dtype)
        arrays["target"] = ((inner, inner), ("y_out", "x_out"), "uint8")
        arrays["weights"] = ((inner, inner), ("y_out", "x_out"), "float32")
        if params.instances:
            arrays["instances"] = ((wide, wide), ("y_cells", "x_cells"), "int32")
    arrays |= {name: ((), (), kind) for name, kind in LEARNED.items()}
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
        )
        for name, (sides, dims, kind) in arrays.items()
    )


def _check_channels(channels: dict[str, int]) -> None:
    if len(set(channels.values())) > 1:
        first, *_ = channels
        other = next(name for name in channels if channels[name] != channels[first])
        raise InvalidInput(
            f"{first} has {channels[first]} channels and {other} has {channels[other]}",
            allowed="one number of channels for all images of a store",
            hint="put grey and colour images into stores of their own",
        )


def _common_rule(store: Store) -> str:
    """The intensity rule of all images, which holds for new images too."""
    rules = {group: _rule_of(store, group) for group in store.groups}
    if len(set(rules.values())) > 1:
        raise InvalidInput(
            f"the images of {store.url} were imported with different --intensity: {rules}",
            hint="import them again with one rule; a network needs to know which one holds for new images",
        )
    return str(store.image_record(store.names[0], "intensity_rule")["intensity_rule"])


def _rule_of(store: Store, group: str) -> str:
    record = store.record(group)
    if "intensity_rule" not in record:
        raise InvalidInput(f"{group} of {store.url} lacks intensity_rule", hint="import it again")
    return str(record["intensity_rule"])


def _training_intensity(store: Store) -> dict[str, list[float]] | None:
    """Typical ranges of the training images, for the scaling of new images; None where an image records none."""
    records = [store.image_record(name, "split") for name in store.names]
    known = [record for record in records if record["split"] == "train"]
    if not known or any("percentiles" not in record for record in known):
        return None
    percentiles = np.array([record["percentiles"] for record in known])
    widths = percentiles[:, 1] - percentiles[:, 0]
    return {
        "range": np.median([record["intensity"] for record in known], axis=0).tolist(),
        "percentiles": np.median(percentiles, axis=0).tolist(),
        "width": [float(widths.min()), float(widths.max())],
    }


def _training_pixel_um(store: Store) -> list[float] | None:
    """The median pixel size (y, x) of the training images in micrometers; None where it is unknown for one."""
    sizes = []
    for name in store.names:
        record = store.image_record(name, "split")
        if record["split"] == "train":
            unit, known = METERS.get(record.get("unit", "")), [n for n in record.get("spacing") or () if n is not None]
            if unit is None or len(known) < 2:
                return None
            sizes.append([size * unit / METERS["micrometer"] for size in known[-2:]])
    return np.median(sizes, axis=0).round(12).tolist() if sizes else None


def describe(store: Store, params: TilesParams) -> None:
    """Write the geometry, and which arrays are coordinates, into the group's attributes."""
    store.update_record(
        TILES,
        names=store.names,
        tile=params.tile_px,
        output=output_size(params.tile_px, params.depth),
        margin=params.margin_px,
        depth=params.depth,
        intensity_rule=_common_rule(store),
        training_intensity=_training_intensity(store),
        training_pixel_um=_training_pixel_um(store),
        **({"num_classes": number} if (number := num_classes(store)) > NUM_CLASSES else {}),
    )
    store.set_coordinates(TILES, [*PLACES, *LEARNED])
    if made := store.record(CUT).get("parameters"):
        for name in absent_from_tiles(made):  # arrays of tiles that have been replaced
            store.remove(f"{TILES}/{name}")


STEPS = (plan_positions, plan_tiles)
