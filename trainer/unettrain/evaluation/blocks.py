"""Labels and instance predictions that are read in blocks, so that volumes larger than memory can be scored.

Instance labels need no pixels but those of a block. Masks, probabilities and classes do: connected components of a
whole image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.pair_counts import PairCounts
from unetprep.sources import Source
from unettrain.evaluation.labels import IGNORE_HINT, check_cells, check_ignore_label
from unettrain.evaluation.params import EvaluateParams
from unettrain.evaluation.predictions import check_instances
from unettrain.evaluation.value_checks import check_numbers, examine
from unettrain.metrics.contingency import (
    IGNORED,
    ContingencyTable,
    LabelArray,
    add_block,
    blocks_of,
    check_labels,
    table_of,
)


@dataclass(frozen=True)
class Numbers:
    """The numbers (z, y, x) of a source with one channel as a `LabelArray`; ignored ones become IGNORED.

    Raises InvalidInput, when a box is read, for values that cannot be the numbers of objects.
    """

    source: Source
    ignore_label: int | None = None
    hint: str = ""  # for values that are no numbers of objects; names the value as {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (z, y, x)."""
        return self.source.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """int32, of all that is read."""
        return np.dtype(np.int32)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape (z, y, x) of the parts that are decoded together; () if any box can be read alone."""
        sides = dict(zip(self.source.axes, self.source.part_shape(), strict=False))
        return tuple(sides.get(axis, 1) for axis in "zyx") if sides else ()

    def __getitem__(self, box: tuple[slice, ...]) -> NDArray[np.int32]:
        values = self.source.read((slice(0, 1), *box))[0]
        ignored = None if self.ignore_label is None else values == self.ignore_label
        if ignored is not None:
            values = np.where(ignored, 0, values)
        check_numbers(values, self.source.path, self.hint)
        return values.astype(np.int32) if ignored is None else np.where(ignored, IGNORED, values).astype(np.int32)


def lazy_labels(source: Source, dims: int, params: EvaluateParams) -> Numbers | None:
    """The true cells of a source, if each number is one; None where connected components are needed.

    Unless `params.instances` is "ids", the values are checked as those in memory are, which reads them once more.
    """
    if params.num_classes is not None or params.instances in ("components", "pieces"):
        return None
    check_ignore_label(params.ignore_label)
    if params.instances == "auto":
        check_cells(examine(source, dims, params.ignore_label), source.path, params.instances)
    return Numbers(source, params.ignore_label, IGNORE_HINT)


def lazy_prediction(source: Source, dims: int, params: EvaluateParams) -> Numbers | None:
    """The objects of a source of instance labels; None for any other prediction.

    Unless `params.prediction` is "instances", the values are checked as those in memory are.
    """
    is_plain = source.shape[0] == 1 and np.dtype(source.dtype).kind in "iu" and params.threshold is None
    if not is_plain or params.prediction not in ("auto", "instances"):
        return None
    if params.prediction == "auto":
        found = examine(source, dims)
        if found.survey.odd or len(found.values) < 2:  # refused, or a mask
            return None
        check_instances(found, source.path, source.dtype)
    return Numbers(source)


def count_pairs(labels: LabelArray, proposal: LabelArray, dims: int) -> list[ContingencyTable]:
    """The contingency table of a volume (z, y, x), or with `dims` 2 of each slice, read in blocks."""
    check_labels(labels, proposal)
    tables: list[ContingencyTable] = []
    pairs: dict[int, PairCounts] = {}
    for box in blocks_of(labels, proposal):
        first, stop, _ = box[0].indices(labels.shape[0])
        if dims == 2 and first not in pairs:  # blocks come in the order of z
            tables += [table_of(each) for each in pairs.values()]
            pairs = {z: PairCounts() for z in range(first, stop)}
        a, b = np.asarray(labels[box]), np.asarray(proposal[box])
        if dims == 3:
            add_block(pairs.setdefault(0, PairCounts()), a, b)
            continue
        for z in range(first, stop):
            add_block(pairs[z], a[z - first], b[z - first])
    return tables + [table_of(each) for each in pairs.values()]
