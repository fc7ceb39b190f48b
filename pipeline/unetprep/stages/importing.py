"""Stage `import`: images and labels of any file format become arrays of the store.

Every source is read twice: first as a whole, before anything is written, checking its values, taking a digest of its
pixels and finding connected components; then shard by shard into the store. So invalid input leaves nothing behind, and
a rerun knows what it continues.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from unetprep.credentials import mask_credentials
from unetprep.errors import Conflict, InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.format.layout import SPLITS, Provenance, labels_path, pixel_array, pixels_path
from unetprep.kernels.percentiles import RobustRange, intensity_limits
from unetprep.params import ImportParams, num_neighbours
from unetprep.sources import Source, find_pairs
from unetprep.sources.first_pass import stored_dtype
from unetprep.sources.memory import kept_of_all
from unetprep.stages.first_reading import FirstReading, LabelScan, read_labels
from unetprep.stages.import_jobs import ImportJob, LabelsJob
from unetprep.stages.ranges import ImageRange
from unetprep.stages.splits import Part, split_parts
from unetprep.store import Store

KERNEL_VERSION = 1


@dataclass(frozen=True)
class Import:
    """A planned import: attributes of each image, jobs that fill the arrays, images without cells, intensity ranges."""

    images: dict[str, dict[str, object]]
    jobs: tuple[ImportJob, ...]
    without_cells: tuple[str, ...] = ()
    ranges: Mapping[str, ImageRange] = field(default_factory=dict)

    def refuse_leakage(self, store: Store) -> None:
        """Raise Conflict if the store holds strips of an image that is imported whole, or the whole of strips."""
        for name in self.images:
            whole, _, split = name.rpartition("-")
            relatives = [f"{name}-{s}" for s in SPLITS] + ([whole] if split in SPLITS else [])
            there = [relative for relative in relatives if relative in store.names]
            if there:
                raise Conflict(
                    f"{store.url} holds {there[0]!r}, and {name!r} would share pixels with it across the splits",
                    hint="import into another store",
                )


def plan_import(
    images: Sequence[str | Source],
    labels: Sequence[str | Source],
    params: ImportParams,
    before_reading: Callable[[Sequence[Part], ImportParams], None] = lambda parts, params: None,
) -> Import:
    """Read and check every source, and plan its arrays. Raises InvalidInput for whatever cannot be used.

    `before_reading` may refuse the first pass, if there is too little memory for it.
    """
    parts = split_parts(find_pairs(images, labels, params.axes), params)
    before_reading(parts, params)
    return plan_parts(parts, params, FirstReading())


def plan_parts(parts: Sequence[Part], params: ImportParams, reading: FirstReading) -> Import:
    """Check every part by a first reading, and plan its arrays."""
    seen = read_labels(parts, params, reading)
    groups: dict[str, dict[str, object]] = {}
    jobs: list[ImportJob] = []
    ranges: dict[str, ImageRange] = {}
    for part, labels_seen in zip(parts, seen, strict=True):
        attributes, planned = _plan_part(part, labels_seen, params, reading, ranges)
        groups[part.name] = attributes
        jobs += planned
    without_cells = tuple(part.name for part, labels in zip(parts, seen, strict=True) if not len(labels.ids))
    kept = kept_of_all(job.source for job in jobs)
    return Import(groups, tuple(replace(job, kept=kept) for job in jobs), without_cells, ranges)


def plan_labels(parts: Sequence[Part], params: ImportParams) -> list[LabelsJob]:
    """Read and check the labels of parts, and plan their arrays alone. Raises InvalidInput as `plan_import` does."""
    seen = read_labels(parts, params, FirstReading())
    return [
        _labels_job(part, labels_seen, params, _attributes(part, params))
        for part, labels_seen in zip(parts, seen, strict=True)
    ]


def _plan_part(
    part: Part, seen: LabelScan, params: ImportParams, reading: FirstReading, ranges: dict[str, ImageRange]
) -> tuple[dict[str, object], list[ImportJob]]:
    dims, attributes = params.dims, _attributes(part, params)
    about = dict(attributes)
    jobs: list[ImportJob] = [_labels_job(part, seen, params, attributes)]
    files = [part.labels.path]
    if part.image is not None:
        pixels = reading.image(part.image, part.box, dims)
        assert pixels.robust is not None
        low, high = _intensity(part.image, pixels.robust, params.intensity)
        ranges[part.name] = ImageRange(part.image.dtype, params.intensity, low, high, pixels.robust)
        about = {**attributes, "intensity": [low, high], "intensity_rule": params.intensity}
        path, dtype, shape = pixels_path(part.name), stored_dtype(part.image), box_shape(part.box)
        output = pixel_array(path, shape, dtype, dims, _made(dtype, shape, about, pixels.digest))
        origin, digests = _origin(part.box), pixels.shards
        jobs.append(ImportJob((output,), part.image.at_absolute_path(), origin, digests=digests))
        files.insert(0, part.image.path)
    source = [mask_credentials(file.rstrip("/").rpartition("/")[2]) for file in files]
    return {**about, **_percentiles(ranges.get(part.name)), "source": source}, jobs


def _percentiles(seen: ImageRange | None) -> dict[str, object]:
    return {"percentiles": [seen.robust.low, seen.robust.high]} if seen else {}


def _attributes(part: Part, params: ImportParams) -> dict[str, object]:
    """Attributes of an image and parameters of its arrays; the pixel size only where it is known."""
    sizes = params.pixel_sizes()
    spacing = {"spacing": list(sizes)} if sizes else {}
    unit = {"unit": params.unit} if params.unit else {}
    return {"dims": params.dims, "split": part.split, **spacing, **unit}


def _labels_job(part: Part, seen: LabelScan, params: ImportParams, about: dict[str, object]) -> LabelsJob:
    """The job of labels. The digest is that of the source; the rules that change its values are parameters."""
    dims = params.dims
    connectivity = num_neighbours(params.dims, params.connectivity) if params.instances == "components" else None
    rule = {
        "instances": "components" if connectivity else "ids",
        "connectivity": connectivity,
        "ignore_label": params.ignore_label,
    }
    shape = box_shape(part.box[1:])
    made = _made("int32", shape, {**about, **rule}, seen.scan.digest)
    largest = seen.num_pieces if connectivity else int(seen.scan.high)
    output = pixel_array(labels_path(part.name, "instances"), shape, "int32", dims, made)
    return LabelsJob(
        (replace(output, extra={"largest_label": largest}),),
        part.labels.at_absolute_path(),
        _origin((slice(0, 1), *part.box[1:])),
        params.ignore_label,
        connectivity,
        seen.names,
        digests=seen.scan.shards,
    )


def _made(dtype: str, shape: tuple[int, ...], about: dict[str, object], digest: str) -> Provenance:
    """Provenance of an array. Attributes of the image are parameters, so that a change makes later arrays stale."""
    return Provenance("import", KERNEL_VERSION, {"dtype": dtype, "shape": list(shape), **about}, {"pixels": digest})


def _origin(box: Box) -> tuple[int, ...]:
    return tuple(b.start for b in box)


def _intensity(image: Source, seen: RobustRange, rule: str) -> tuple[float, float]:
    """The values that become 0 and 1. Raises InvalidInput for the rule `dtype` with a dtype that has no range."""
    if rule == "dtype" and np.dtype(image.dtype).kind not in "ui":
        raise InvalidInput(
            f"{image.path} has dtype {image.dtype}, which has no natural range",
            allowed="integers with --intensity dtype",
            hint="use --intensity percentile",
        )
    return intensity_limits(rule, image.dtype, seen)
