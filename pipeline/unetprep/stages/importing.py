"""Stage `import`: images and labels of any file format become arrays of the store.

Every source is read twice: first as a whole, before anything is written, checking its values, taking a digest of its
pixels and finding connected components; then shard by shard into the store. So invalid input leaves nothing behind, and
a rerun knows what it continues.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from unetprep.credentials import mask_credentials
from unetprep.errors import Conflict, Faults, InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.format.layout import Provenance, image_path, labels_path, pixel_array, pixels_path
from unetprep.kernels.percentiles import RobustRange, intensity_limits
from unetprep.kernels.weights import NUM_CLASSES
from unetprep.params import ImportParams, LayoutParams, num_neighbours
from unetprep.sources import Source
from unetprep.sources.first_pass import Scan, stored_dtype
from unetprep.sources.kept_pixels import KeptPixels
from unetprep.sources.layouts.data_set import DataSet, refuse_mixed_channels
from unetprep.sources.layouts.pairs import of_inputs
from unetprep.sources.layouts.summary import summarize
from unetprep.sources.memory import kept_of_all
from unetprep.stages.base import Shape
from unetprep.stages.classes import NUMBER, Classes, refuse_other_number
from unetprep.stages.first_reading import FirstReading, LabelChecks, LabelScan, Seen, read_images, read_labels
from unetprep.stages.import_jobs import ClassesJob, ImportJob, LabelsJob
from unetprep.stages.known_sources import KnownReading, KnownSources, is_kept
from unetprep.stages.pixel_sizes import ImageScale, scale_notes
from unetprep.stages.ranges import ImageRange
from unetprep.stages.splits import Part, known_splits, split_parts
from unetprep.stages.stacks import (
    ClassRule,
    LabelRule,
    Stack,
    StackImportJob,
    arrange,
    digest_of_all,
    merged_digests,
    merged_table,
)
from unetprep.store import Store

KERNEL_VERSION = 1
DIMS = 4  # of pixels, (c, z, y, x)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Import:
    """A planned import: attributes of each group, jobs that fill the arrays, images without cells, intensity ranges."""

    groups: dict[str, dict[str, Any]]
    jobs: tuple[ImportJob | StackImportJob, ...]
    names: tuple[str, ...] = ()
    without_cells: tuple[str, ...] = ()
    ranges: Mapping[str, ImageRange] = field(default_factory=dict)
    known: KnownSources | None = None  # to be kept in the store
    notes: tuple[str, ...] = ()  # on labels that look odd
    split: str | None = None  # that is asked for all images

    def groups_to_write(self, store: Store, has_images: bool) -> dict[str, dict[str, Any]]:
        """The attributes of the groups; an import of labels alone keeps what the store knows of pixels."""
        return {path: about for path, about in self.groups.items() if has_images or not store.record(pixels_path(path))}

    def refuse_other_classes(self, store: Store) -> None:
        """Raise Conflict if images of the store would differ in their number of classes."""
        numbers = dict.fromkeys(self.groups, NUM_CLASSES)
        for spec in (spec for job in self.jobs for spec in job.outputs):
            if number := spec.provenance.parameters.get(NUMBER):
                numbers[spec.path.partition("/labels/")[0]] = number
        refuse_other_number(store, numbers)

    def refuse_other_channels(self, store: Store) -> None:
        """Raise Conflict if images of the store have another number of channels than those that are imported."""
        outputs = {spec.path: spec.shape[0] for job in self.jobs for spec in job.outputs if len(spec.shape) == DIMS}
        for path in map(pixels_path, store.groups):
            there = store.shards(path).shape[0] if path not in outputs and store.record(path) else None
            other = next((new for new, number in outputs.items() if there not in (None, number)), None)
            if other:
                raise Conflict(
                    f"{other} would have {outputs[other]} channels, and {path} of {store.url} has {there}",
                    allowed="the same channels in all images of a store",
                    hint="save all as grey images or all as RGB, or import into another store",
                )


def plan_import(
    images: Sequence[str | Source],
    labels: Sequence[str | Source],
    params: ImportParams,
    before_reading: Callable[[Sequence[Part], ImportParams], None] = lambda parts, params: None,
    store: Store | None = None,
    kept: KeptPixels | None = None,
    num_threads: int = 1,
    *,
    overwrite: bool = False,
    data_set: DataSet | None = None,
) -> Import:
    """Read and check every source, and plan its arrays. Raises InvalidInput for whatever cannot be used.

    The sources are those of `data_set`, or images and labels that are paired by name.
    `before_reading` may refuse the first pass, if there is too little memory for it. `store`, if it exists, is the one
    that the images are added to. Images of stacks are read by `num_threads`, and kept in `kept` for the second reading.
    """
    known = KnownSources.of_store(store, kept or KeptPixels())
    data_set, faults = data_set or of_inputs(images, labels, LayoutParams()), Faults()
    data_set.refuse_classes(params)
    pairs = data_set.open(params, known.open, faults)
    with faults.collected():
        refuse_mixed_channels(pairs)
    if pairs[1:] or data_set.left_out or data_set.layout != "pairs":
        for line in summarize(data_set, pairs).lines():
            log.info("%s", line)
    parts = split_parts(pairs, params, known_splits(store, params) | data_set.splits)
    before_reading(parts, params)
    planned = plan_parts(parts, params, KnownReading(known, num_threads), store, faults, overwrite=overwrite)
    return replace(planned, known=known if is_kept(parts) else None)


def plan_parts(
    parts: Sequence[Part],
    params: ImportParams,
    reading: FirstReading,
    store: Store | None = None,
    faults: Faults | None = None,
    *,
    overwrite: bool = False,
) -> Import:
    """Check every part by a first reading, and plan its arrays.

    Raises InvalidInput for everything that cannot be used, and for the `faults` that are known, at once.
    """
    classes, checks = Classes.of(params, parts), LabelChecks(params, reading, faults)
    alone, stacks = arrange(parts, params.dims, store)
    labels, images = read_labels(alone, params, reading, checks), read_images(alone, params, reading, checks.faults)
    in_stacks = [read_stack(stack, params, reading, checks) for stack in stacks]
    checks.faults.refuse()
    for part in parts if classes else ():
        assert classes
        classes.refuse_unlisted(part, params.ignore_label)
    groups: dict[str, dict[str, Any]] = {}
    jobs: list[ImportJob] = []
    ranges: dict[str, ImageRange] = {}
    for part, seen, pixels in zip(alone, labels, images, strict=True):
        attributes, planned = _plan_part(part, seen, pixels, params, ranges, classes)
        groups[image_path(part.name)] = attributes
        jobs += planned
    without_cells = [part.name for part, seen in zip(alone, labels, strict=True) if not len(seen.ids)]
    stacked: list[StackImportJob] = []
    for stack, found in zip(stacks, in_stacks, strict=True):
        attributes, planned_stack, empty = _plan_stack(stack, found, params, reading, ranges, classes, store, overwrite)
        groups[stack.path] = attributes
        stacked += planned_stack
        without_cells += empty
    kept = kept_of_all(job.source for job in jobs)
    own = (replace(job, kept=kept) for job in jobs)
    names = tuple(part.name for part in parts)
    notes = (*checks.notes(), *_scale_notes(parts, params))
    return Import(groups, (*own, *stacked), names, tuple(without_cells), ranges, notes=notes, split=params.split)


def _scale_notes(parts: Sequence[Part], params: ImportParams) -> tuple[str, ...]:
    """What speaks against the pixel sizes of the files, each time for the first image."""
    found = (scale_notes(part.image, part.labels, params) for part in parts)
    return tuple(next(filter(None, found), []))


def read_stack(stack: Stack, params: ImportParams, reading: FirstReading, checks: LabelChecks) -> dict[int, Seen]:
    """Read and check the given images of a stack."""
    found = reading.all_in_stack(stack.path, stack.given, params, checks.faults)
    for k, (labels, _) in found.items():
        with checks.faults.collected():
            checks.check(stack.given[k], [labels])
    return found


def _plan_stack(
    stack: Stack,
    seen: Mapping[int, Seen],
    params: ImportParams,
    reading: FirstReading,
    ranges: dict[str, ImageRange],
    classes: Classes | None,
    store: Store | None,
    overwrite: bool,
) -> tuple[dict[str, Any], list[StackImportJob], list[str]]:
    """Plan every given image of a stack. Returns the stack's attributes, its jobs, and the images without cells."""
    parts = list(stack.given.values())
    common = {key: value for key, value in _attributes(parts[0], params).items() if key != "split"}
    columns: dict[str, dict[int, Any]] = {"split": {}, "source": {}}
    for k, part in stack.given.items():
        if stack.members[k].removed:
            continue
        columns["split"][k], columns["source"][k] = part.split, _file_names(part)
        pixels = seen[k][1]
        if part.image is not None and pixels is not None:
            ranges[part.name] = _range(part.image, pixels, params)
            columns.setdefault("intensity", {})[k] = [ranges[part.name].low, ranges[part.name].high]
            columns.setdefault("percentiles", {})[k] = _percentiles(ranges[part.name])["percentiles"]
        _refuse_other_split(stack, part, store, overwrite)

    def job(
        path: str, channels: Shape, about: dict[str, Any], digests: Mapping[int, str], of: Mapping[int, Source],
        rule: LabelRule | None,
    ) -> StackImportJob:  # fmt: skip
        merged = merged_digests(stack, digests, store, path, overwrite=overwrite)
        made = provenance(about, digest_of_all([(member.name, member.size) for member in stack.members], merged))
        output = replace(stack.array(path, channels, about["dtype"], made), extra={"digests": merged})
        sources = {k: source.at_absolute_path() for k, source in of.items()}
        return StackImportJob((output,), sources, merged, rule, reading.kept, sizes=stack.sizes)

    rule = _label_rule(params)
    digests = {k: labels.scan.digest for k, (labels, _) in seen.items()}
    sources = {k: part.labels for k, part in stack.given.items()}
    how = LabelRule(params.ignore_label, rule["connectivity"], params.by_value, params.label_threshold or 0)
    path = labels_path(stack.path, "instances")
    jobs = [job(path, (), {"dtype": "int32", **common, **rule}, digests, sources, how)]
    if classes:
        tables = {k: classes.of_part(part) for k, part in stack.given.items()}
        about = {"dtype": "uint8", "ignore_label": params.ignore_label, **classes.parameters(list(tables.values()))}
        of_cells = {k: table for k, table in tables.items() if table}
        by_class = ClassRule(params.ignore_label, None, tables=of_cells)
        jobs.append(job(labels_path(stack.path, "classes"), (), about, digests, sources, by_class))
    if parts[0].image is not None:
        dtype, channels = stored_dtype(parts[0].image), parts[0].image.shape[:1]
        digests = {k: pixels.digest for k, (_, pixels) in seen.items() if pixels}
        sources = {k: part.image for k, part in stack.given.items() if part.image}
        common = {**common, "intensity_rule": params.intensity}
        jobs.append(job(pixels_path(stack.path), channels, {"dtype": dtype, **common}, digests, sources, None))
    group = {**common, "images": merged_table(stack, columns, store)}
    empty = [stack.members[k] for k, (labels, _) in seen.items() if not len(labels.ids)]
    return group, jobs, [member.name for member in empty if not member.removed]


def plan_labels(parts: Sequence[Part], params: ImportParams) -> list[LabelsJob]:
    """Read and check the labels of parts, and plan their arrays alone. Raises InvalidInput as `plan_import` does."""
    reading, scale = FirstReading(), ImageScale(params.pixel_sizes(), params.unit)
    parts = [replace(part, scale=scale) for part in parts]  # as recorded, whatever the files of the labels state
    checks = LabelChecks(params, reading, edited=True)
    seen = read_labels(parts, params, reading, checks)
    checks.faults.refuse()
    return [
        _labels_job(part, labels_seen, params, _attributes(part, params))
        for part, labels_seen in zip(parts, seen, strict=True)
    ]


def _plan_part(
    part: Part,
    seen: LabelScan,
    pixels: Scan | None,
    params: ImportParams,
    ranges: dict[str, ImageRange],
    classes: Classes | None,
) -> tuple[dict[str, object], list[ImportJob]]:
    dims, attributes = params.dims, _attributes(part, params)
    about = dict(attributes)
    jobs: list[ImportJob] = [_labels_job(part, seen, params, attributes)]
    if classes:
        jobs.append(_classes_job(part, seen, params, classes))
    if part.image is not None and pixels is not None:
        ranges[part.name] = _range(part.image, pixels, params)
        low, high = ranges[part.name].low, ranges[part.name].high
        about = {**attributes, "intensity": [low, high], "intensity_rule": params.intensity}
        path, dtype, shape = pixels_path(image_path(part.name)), stored_dtype(part.image), box_shape(part.box)
        output = pixel_array(path, shape, dtype, dims, _made(dtype, shape, about, pixels.digest))
        origin, digests = _origin(part.box), pixels.shards
        jobs.append(ImportJob((output,), part.image.at_absolute_path(), origin, digests=digests))
    return {**about, **_percentiles(ranges.get(part.name)), "source": _file_names(part)}, jobs


def _file_names(part: Part) -> list[str]:
    """Names of the files of a part, the labels last."""
    sources = [source for source in (part.image, part.labels) if source]
    return [mask_credentials(source.path.rstrip("/").rpartition("/")[2]) for source in sources]


def _range(image: Source, pixels: Scan, params: ImportParams) -> ImageRange:
    assert pixels.robust is not None
    low, high = _intensity(image, pixels.robust, params.intensity)
    return ImageRange(image.dtype, params.intensity, low, high, pixels.robust)


def _refuse_other_split(stack: Stack, part: Part, store: Store | None, overwrite: bool) -> None:
    there = store.places.get(part.name) if store else None
    split = store.image_record(part.name)["split"] if store and there else part.split
    if split != part.split and not overwrite:
        raise Conflict(
            f"image {part.name!r} is in {store.url if store else ''} already, in another split: it is {split} there and"
            f" {part.split} now",
            hint="repeat the command with the split, or the fractions and the seed, of the first import; give another"
            " image another name; --overwrite replaces the image that is there",
        )


def _percentiles(seen: ImageRange | None) -> dict[str, Any]:
    return {"percentiles": [seen.robust.low, seen.robust.high]} if seen else {}


def _attributes(part: Part, params: ImportParams) -> dict[str, object]:
    """Attributes of an image and parameters of its arrays; the pixel size only where it is known."""
    spacing = {"spacing": list(part.scale.spacing)} if part.scale.spacing else {}
    unit = {"unit": part.scale.unit} if part.scale.unit else {}
    return {"dims": params.dims, "split": part.split, **spacing, **unit}


def _label_rule(params: ImportParams) -> dict[str, Any]:
    """The parameters of the import that change the values of labels."""
    connectivity = num_neighbours(params.dims, params.connectivity) if params.numbers_components else None
    instances = "pieces" if params.instances == "pieces" else "components" if connectivity else "ids"
    by_class = {"by_class": True} if params.labels_are_classes else {}
    threshold = {} if params.label_threshold is None else {"label_threshold": params.label_threshold}
    rule = {"instances": instances, "connectivity": connectivity, "ignore_label": params.ignore_label}
    return {**rule, **by_class, **threshold}


def _labels_job(part: Part, seen: LabelScan, params: ImportParams, about: dict[str, object]) -> LabelsJob:
    """The job of labels. The digest is that of the source; the rules that change its values are parameters."""
    dims = params.dims
    rule = _label_rule(params)
    connectivity = rule["connectivity"]
    shape = box_shape(part.box[1:])
    made = _made("int32", shape, {**about, **rule}, seen.scan.digest)
    largest = seen.num_pieces if connectivity else int(seen.scan.high)
    output = pixel_array(labels_path(image_path(part.name), "instances"), shape, "int32", dims, made)
    return LabelsJob(
        (replace(output, extra={"largest_label": largest}),),
        part.labels.at_absolute_path(),
        _origin((slice(0, 1), *part.box[1:])),
        params.ignore_label,
        connectivity,
        seen.names,
        params.by_value,
        params.label_threshold or 0,
        digests=seen.scan.shards,
    )


def _classes_job(part: Part, seen: LabelScan, params: ImportParams, classes: Classes) -> ClassesJob:
    """The job of the classes of an image, from its labels."""
    table, shape = classes.of_part(part), box_shape(part.box[1:])
    about = {"ignore_label": params.ignore_label, **classes.parameters([table])}
    made = _made("uint8", shape, about, seen.scan.digest)
    output = pixel_array(labels_path(image_path(part.name), "classes"), shape, "uint8", params.dims, made)
    origin = _origin((slice(0, 1), *part.box[1:]))
    source, digests = part.labels.at_absolute_path(), seen.scan.shards
    return ClassesJob((output,), source, origin, params.ignore_label, table, digests=digests)


def _made(dtype: str, shape: tuple[int, ...], about: dict[str, object], digest: str) -> Provenance:
    """Provenance of an array. Attributes of the image are parameters, so that a change makes later arrays stale."""
    return provenance({"dtype": dtype, "shape": list(shape), **about}, digest)


def provenance(parameters: dict[str, Any], digest: str) -> Provenance:
    """Provenance of an array of pixels of this digest, imported with these parameters."""
    return Provenance("import", KERNEL_VERSION, parameters, {"pixels": digest})


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
