"""Scores of a trained network on the test images of a data set.

All methods are decoded alike: probabilities become instances by `separate_instances`, with what scores best on the
validation images; a method that predicts instances is scored as it is. ISBI 2012 also gets the challenge's metrics of
the probabilities, at the best threshold of the test slices, as the challenge does, and at that of the validation ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.data import Sample, Splits
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.selection import DecodingScores, candidate_decodings
from unettrain.metrics import Scores, ThresholdScores, challenge_curves, score_instances

LEAST_AREA_PX = 5  # of the candidates, and what they derive from it
Planes = Sequence[NDArray[Any]]


def score(splits: Splits, val: Planes, test: Planes) -> dict[str, Any]:
    """Scores of predictions, probabilities or instances, of the validation and the test images."""
    if np.issubdtype(test[0].dtype, np.integer):
        return {"instances": scores_of(splits.test, test)}
    chosen = chosen_decoding(splits.val, val)
    decodings = {"chosen": chosen, "watershed": DecodingParams(), "components": DecodingParams(instances="components")}
    found: dict[str, Any] = {
        name: scores_of(splits.test, [separate_instances(plane, params) for plane in test])
        for name, params in decodings.items()
    }
    found["decoding"] = asdict(chosen)
    if splits.name == "isbi2012":
        found["challenge"] = challenge(splits, val, test)
    return found


def chosen_decoding(samples: Sequence[Sample], foregrounds: Planes) -> DecodingParams:
    """The decoding with the highest AP on some images, of the candidates of `fit`."""
    candidates = candidate_decodings(DecodingParams(min_area_px=LEAST_AREA_PX))
    components = candidate_decodings(DecodingParams(instances="components", min_area_px=LEAST_AREA_PX))
    scores = DecodingScores((*candidates, *components))
    for sample, foreground in zip(samples, foregrounds, strict=True):
        scores.add(foreground, sample.labels)
    best = scores.best()
    assert best is not None
    return best


def scores_of(samples: Sequence[Sample], instances: Planes) -> dict[str, Any]:
    """AP at every IoU threshold and IoU of the foreground, pooled over all images and over those of each kind."""
    scores = [score_instances(found, sample.labels) for sample, found in zip(samples, instances, strict=True)]
    kinds = sorted({sample.kind for sample in samples})
    of_kinds = {kind: [s for s, sample in zip(scores, samples, strict=True) if sample.kind == kind] for kind in kinds}
    images = {sample.name: round(s.ap[0.5], 4) for s, sample in zip(scores, samples, strict=True)}
    return pooled(scores) | {"kinds": {kind: pooled(found) for kind, found in of_kinds.items()}, "ap50_images": images}


def pooled(scores: Iterable[Scores]) -> dict[str, Any]:
    """The scores of several images together."""
    whole = sum(scores, start=Scores())
    return {
        "ap": {f"{threshold:.2f}": round(value, 4) for threshold, value in whole.ap.items()},
        "mean_ap": round(whole.mean_ap, 4),
        "iou": round(whole.pixels.iou, 4),
        "cells": whole.cells[0].tp + whole.cells[0].fn,
    }


def challenge(splits: Splits, val: Planes, test: Planes) -> dict[str, Any]:
    """The metrics of the ISBI 2012 challenge: at the best threshold, and at that of the validation slices."""
    on_val, on_test = curves_of(splits.val, val), curves_of(splits.test, test)
    return {
        name: {
            "best": round(curve.best, 6),
            "best_threshold": round(curve.best_threshold, 2),
            "fixed": round(curve.at(on_val[name].best_threshold), 6),
            "fixed_threshold": round(on_val[name].best_threshold, 2),
        }
        for name, curve in on_test.items()
    }


def curves_of(samples: Sequence[Sample], probabilities: Planes) -> dict[str, ThresholdScores]:
    """The curves of all metrics of the challenge over some slices."""
    labels = np.stack([sample.labels for sample in samples])
    return challenge_curves(labels, np.stack(probabilities))


def floor(splits: Splits) -> dict[str, Any]:
    """The challenge's metrics of the true labels of the slice before each test slice: neighbours look alike."""
    samples = {sample.name: sample for split in ("train", "val", "test") for sample in splits.of(split)}
    names = sorted(samples)
    pairs = [(samples[names[names.index(s.name) - 1]], s) for s in splits.test if s.name != names[0]]
    labels = np.stack([sample.labels for _, sample in pairs])
    before = np.stack([(previous.labels > 0).astype(np.float32) for previous, _ in pairs])
    return {name: round(curve.best, 6) for name, curve in challenge_curves(labels, before).items()}
