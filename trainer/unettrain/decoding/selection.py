"""Scores of decodings, and the choice of decoding parameters by average precision (AP) on validation images."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.quantizing import foreground_mask, quantized
from unettrain.decoding.decoder import checked_probabilities
from unettrain.decoding.numbering import Numbering
from unettrain.decoding.params import MOST_AREA_PX, SEEDS, DecodingParams
from unettrain.decoding.plane import Plane, find_parts, needs_values, without_small
from unettrain.decoding.spool import Spool
from unettrain.decoding.strips import strips_of
from unettrain.errors import InvalidInput
from unettrain.metrics.instances import THRESHOLDS, Matching, OverlapTable, overlap_table

# In the middle of each are the defaults. Depth 1 splits nothing.
FOREGROUND_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
SMOOTHINGS_PX = (1.0, 2.0, 4.0)
DEPTHS = (0.08, 0.15, 0.25, 0.4, 1.0)
AREAS = (1, 4, 0.25, 16, 0)  # times the least area of the base, at least 1; the small ones for images of tiny cells
VALIDATION_AREAS_PX = (20, 5, 1)

Matchings = tuple[Matching, ...]


class DecodingScores:
    """AP of several decodings, accumulated over images, of which none is kept.

        scores = DecodingScores(candidate_decodings(params))
        for foreground, truth, ignored in batches:
            scores.add(foreground, truth, ignored)
        best = scores.best()

    Candidates that differ in `min_depth` and `min_area_px` alone share most of the computation.
    """

    def __init__(self, candidates: Sequence[DecodingParams]) -> None:
        self.candidates = tuple(candidates)
        self._groups: dict[DecodingParams, list[int]] = {}  # candidates by the parameters that give their parts
        for k, params in enumerate(self.candidates):
            self._groups.setdefault(replace(params, min_depth=0.0, min_area_px=0), []).append(k)
        self._found: list[Matchings] = [(Matching(),) * len(THRESHOLDS)] * len(self.candidates)
        self.num_images = 0
        self.num_cells = 0  # true cells of these images

    def add(
        self,
        foreground: NDArray[np.floating[Any]],
        truth: NDArray[np.integer[Any]],
        ignored: NDArray[np.bool_] | None = None,
    ) -> None:
        """Score images (y, x) or (image, y, x): foreground probability, labels of true cells, ignored pixels or None.

        Raises InvalidInput for shapes that differ, and for values that are no probabilities or labels.
        """
        if foreground.ndim not in (2, 3) or foreground.shape != truth.shape:
            raise InvalidInput(
                f"probabilities have shape {foreground.shape}, true labels {truth.shape}",
                allowed="one shape, of 2 or 3 axes",
            )
        planes = (-1, *foreground.shape[-2:])
        unknown = None if ignored is None else ignored.reshape(planes)
        for k, (plane, cells) in enumerate(zip(foreground.reshape(planes), truth.reshape(planes), strict=True)):
            self._add_plane(checked_probabilities(plane), cells, None if unknown is None else unknown[k])

    def _add_plane(
        self, foreground: NDArray[np.float32], truth: NDArray[np.integer[Any]], ignored: NDArray[np.bool_] | None
    ) -> None:
        for params, members in self._groups.items():
            candidates = [self.candidates[k] for k in members]
            tables = list(_overlaps(foreground, params, candidates, truth, ignored))
            found = {
                id(table): table.matchings(THRESHOLDS) for table in {id(table): table for table in tables}.values()
            }
            for k, table in zip(members, tables, strict=True):
                self._found[k] = tuple(a + b for a, b in zip(self._found[k], found[id(table)], strict=True))
        self.num_images += 1
        self.num_cells += int(np.count_nonzero(np.unique(truth if ignored is None else np.where(ignored, 0, truth))))

    def matchings(self, k: int = 0) -> Matchings:
        """Matchings of a candidate at each IoU of `unettrain.metrics.instances.THRESHOLDS`."""
        return self._found[k]

    def ap(self, k: int = 0) -> dict[float, float]:
        """AP of a candidate at each IoU threshold."""
        return {t: m.average_precision for t, m in zip(THRESHOLDS, self._found[k], strict=True)}

    def mean_ap(self, k: int = 0) -> float:
        """Mean of the AP of a candidate over the IoU thresholds, 0.5 to 0.9."""
        return float(np.mean(list(self.ap(k).values())))

    def highest_ap(self) -> float:
        """The mean AP of the best candidate."""
        return max(self.mean_ap(k) for k in range(len(self.candidates)))

    def best(self) -> DecodingParams | None:
        """The candidate with the highest mean AP, of equal ones the first; None without a true cell to choose by."""
        if not self.num_cells:
            return None
        return self.candidates[int(np.argmax([self.mean_ap(k) for k in range(len(self.candidates))]))]


def _overlaps(
    foreground: NDArray[np.float32],
    params: DecodingParams,
    candidates: Sequence[DecodingParams],
    truth: NDArray[np.integer[Any]],
    ignored: NDArray[np.bool_] | None,
) -> Iterator[OverlapTable]:
    """Overlaps of true cells and instances in one image (y, x), for candidates with the parts that `params` gives.

    Pixels are looked at once for all candidates, unless instances grow. Candidates of the same instances get one table.
    """
    strips, height = strips_of(*foreground.shape), len(foreground)
    plane = Plane(strips, _spool(foreground_mask(foreground, params.threshold)), None)
    if needs_values(params):
        plane = plane._replace(values=_spool(quantized(foreground)))
    labels = Spool(height, foreground.shape[1], np.int32, None)
    finder = find_parts(plane, params, labels)
    parts = labels.read(0, height)
    table = overlap_table(truth, parts, ignored)
    at_depth: dict[float, OverlapTable] = {}
    different: dict[tuple[float, int], OverlapTable] = {}  # by depth and number of instances that are large enough
    for candidate in candidates:
        depth = candidate.min_depth
        if candidate.grow_px:
            grown, numbering = _spool(parts), Numbering(candidate.grow_px)
            kept = without_small(finder.objects(depth), finder.sizes, candidate.min_area_px)
            numbering.apply(grown, 0, strips, kept)
            yield overlap_table(truth, grown.read(0, height), ignored)
            continue
        if depth not in at_depth:
            objects, into = np.unique(finder.objects(depth)[1:], return_inverse=True)
            at_depth[depth] = table.merged(into, len(objects))
        merged, least = at_depth[depth], candidate.min_area_px
        key = depth, int(np.count_nonzero(merged.proposal_sizes >= least))
        if key not in different:
            different[key] = merged.without_small(least)
        yield different[key]


def _spool(rows: NDArray[Any]) -> Spool:
    spool = Spool(len(rows), rows.shape[1], rows.dtype, None)
    spool.write(0, rows)
    return spool


def candidate_decodings(base: DecodingParams) -> tuple[DecodingParams, ...]:
    """Decodings that differ from `base` in threshold, seeds, smoothing, depth and least area.

    Those nearest the middle of the grid come first, which has the defaults and the seeds and area of `base`. Components
    have a threshold and a least area alone, and "none" has no parameters.
    """
    if base.instances == "none":
        return (base,)
    axes: dict[str, list[tuple[int, Any]]] = {"threshold": _from_middle(FOREGROUND_THRESHOLDS)}
    if base.instances == "watershed":
        axes["seeds"] = [(int(seeds != base.seeds), seeds) for seeds in SEEDS]
        axes |= {"smoothing_px": _from_middle(SMOOTHINGS_PX), "min_depth": _from_middle(DEPTHS)}
    if base.min_area_px:
        areas = [min(MOST_AREA_PX, max(1, int(factor * base.min_area_px))) for factor in AREAS]
        axes["min_area_px"] = [*enumerate(dict.fromkeys(areas))]
    grid = sorted(product(*axes.values()), key=lambda point: sum(steps for steps, _ in point))  # stable
    return tuple(replace(base, **{name: v for name, (_, v) in zip(axes, point, strict=True)}) for point in grid)


def validation_decodings() -> tuple[DecodingParams, ...]:
    """The decodings that a training is validated with: the default, and with smaller least areas for tiny cells."""
    return tuple(replace(DecodingParams(), min_area_px=area) for area in VALIDATION_AREAS_PX)


def _from_middle(values: Sequence[float]) -> list[tuple[int, float]]:
    """Values with their distance from the middle of the sequence in steps, the nearest first."""
    middle = len(values) // 2
    return sorted((abs(k - middle), value) for k, value in enumerate(values))
