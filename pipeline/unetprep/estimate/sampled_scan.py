"""Sampled scan of a source for an estimate: a first pass over a part of the pixels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from unetprep.format.boxes import Box, Index, box_shape
from unetprep.format.layout import pixel_chunks, pixels_path
from unetprep.format.places import TABLE
from unetprep.params import ImportParams
from unetprep.sources import Source
from unetprep.sources.connected_components import LabelMap
from unetprep.sources.first_pass import UNKNOWN, Scan
from unetprep.sources.synthetic import clock
from unetprep.stages.base import Shape
from unetprep.stages.first_reading import FirstReading, LabelScan
from unetprep.stages.importing import Import
from unetprep.stages.splits import Part
from unetprep.store import Store

WHOLE_PX = 2**24  # of all sources together, as long as they are read whole
WINDOW_PX = 2**20  # of each source that is not read whole
GUESSED = "only some of the small images were read: faults in the others are not seen"
CELL_PX = 64  # hardly any cell is smaller, which bounds their number


class UnknownLabelMaps(Mapping[Index, LabelMap]):
    """Placeholder label maps of all shards: connected components of each are numbered from 1."""

    def __getitem__(self, index: Index) -> LabelMap:
        nothing = np.empty(0, np.int64)
        return LabelMap(1, nothing, nothing)

    def __iter__(self) -> Iterator[Index]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, index: object) -> bool:
        return True


@dataclass
class SampledScan(FirstReading):
    """First pass that reads small sources whole, and a window of each large one."""

    left_px: int = WHOLE_PX
    read_px: int = 0
    all_px: int = 0
    seconds: float = 0.0
    guesses: list[str] = field(default_factory=list)
    alike: tuple[LabelScan, Scan | None] | None = None  # of an image of a stack

    def in_stack(self, group: str, k: int, part: Part, params: ImportParams) -> tuple[LabelScan, Scan | None]:
        """The labels and the values of slice k of a stack; when enough are read, those of an earlier one."""
        num_px = _num_px(part.box)
        if self.alike and num_px > self.left_px:
            self.all_px += num_px * (1 + bool(part.image))
            if GUESSED not in self.guesses:
                self.guesses.append(GUESSED)
            return self.alike
        labels = self.labels(part.labels, part.box, params, params.numbers_components)
        image = self.image(part.image, part.box, params.dims) if part.image else None
        unknown = replace(labels, scan=replace(labels.scan, digest=UNKNOWN))
        self.alike = unknown, image and replace(image, digest=UNKNOWN)
        return labels, image

    def image(self, source: Source, box: Box, dims: int) -> Scan:
        """The values of an image, or of a window of it."""
        window, is_whole = self._window(box, pixel_chunks(box_shape(box[1:]), dims)[1])
        start = clock()
        scan = super().image(source, window, dims)
        self.seconds += clock() - start
        return scan if is_whole else replace(scan, digest=UNKNOWN)

    def labels(self, source: Source, box: Box, params: ImportParams, pieces: bool) -> LabelScan:
        """The labels, or those of a window; all others are assumed to be several cells."""
        window, is_whole = self._window(box, pixel_chunks(box_shape(box[1:]), params.dims)[1])
        start = clock()
        seen = super().labels(source, window, params, pieces)
        self.seconds += clock() - start
        if is_whole:
            return seen
        num_px, window_px = _num_px(box[1:]), _num_px(window[1:])
        most = num_px // CELL_PX if pieces else max(int(seen.scan.high), num_px // CELL_PX)
        scan = Scan(seen.scan.low, min(most, 2**31 - 1), UNKNOWN)
        return LabelScan(scan, np.array([1, 2]), seen.num_pieces * num_px // window_px, UnknownLabelMaps())

    def seconds_for_all(self) -> float:
        """Time that reading all sources would take."""
        return self.seconds * self.all_px / max(1, self.read_px)

    def _window(self, box: Box, shard: Shape) -> tuple[Box, bool]:
        num_px = _num_px(box)
        self.all_px += num_px
        if num_px <= self.left_px:
            self.left_px -= num_px
            self.read_px += num_px
            return box, True
        if not self.guesses:
            self.guesses.append("only a window of each large image was read: faults elsewhere are not seen")
        window = _middle(box, shard)
        self.read_px += _num_px(window)
        return window, False


def _middle(box: Box, shard: Shape) -> Box:
    """A window around the middle of a box, at most a shard; it has full rows as far as possible."""
    left, found = WINDOW_PX, list(box)
    for axis in (3, 2, 1):
        b = box[axis]
        length = max(1, min(b.stop - b.start, shard[axis - 1], left))
        start = (b.start + b.stop - length) // 2
        found[axis] = slice(start, start + length)
        left //= length
    return tuple(found)


def _num_px(box: Box) -> int:
    return int(np.prod(box_shape(box), dtype=np.int64))


def with_known_values(store: Store, planned: Import) -> Import:
    """A plan in which sources that were not read whole have the values that the store records of them, if it does."""
    jobs = []
    for job in planned.jobs:
        (output,) = job.outputs
        record = store.record(output.path)
        made = output.provenance
        if made.inputs.get("pixels") == UNKNOWN and record.get("inputs"):
            seen = {k: record.get("parameters", {}).get(k, v) for k, v in made.parameters.items() if k == "intensity"}
            made = replace(made, inputs=record["inputs"], parameters={**made.parameters, **seen})
            output = replace(output, provenance=made)
        jobs.append(replace(job, outputs=(output,)))
    outputs = [job.outputs[0] for job in planned.jobs]
    unknown = {output.path for output in outputs if output.provenance.inputs.get("pixels") == UNKNOWN}
    groups = {
        path: about | (_recorded_ranges(store.record(path)) if pixels_path(path) in unknown else {})
        for path, about in planned.groups.items()
    }
    for path, about in groups.items():
        if TABLE in about:
            groups[path] = about | {TABLE: about[TABLE] | _recorded_ranges(store.record(path).get(TABLE, {}))}
    return replace(planned, groups=groups, jobs=tuple(jobs))


def _recorded_ranges(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("intensity", "percentiles") if key in record}
