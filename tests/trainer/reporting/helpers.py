"""Helpers of the report's tests: a parser of pages, and labels of a store."""

from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from unettrain.config import FitConfig
from unettrain.decoding.params import DecodingParams
from unettrain.metrics.cell_errors import cell_errors
from unettrain.metrics.components import label_components
from unettrain.metrics.scores import pooled, score_instances
from unettrain.reporting.error_maps import ErrorMap, make_error_map
from unettrain.reporting.region_scores import RegionScores
from unettrain.reporting.regions import Region
from unettrain.reporting.scores import METHODS, HeldOut, Shown

MakeStore = Callable[..., Path]
EMPTY = np.zeros((1, 1), np.int32)
NOTHING_SHOWN = Shown("a", EMPTY[None], EMPTY, EMPTY.astype(np.float32), EMPTY)
QUICK = FitConfig(steps=4, base_channels=2, validate_every=2, log_every=1)
SECTIONS = [
    "result", "data", "deformation", "augmentation", "tile", "training", "prediction", "images", "errors", "making"
]  # fmt: skip
VOID = {"meta", "img"}


class Page(HTMLParser):
    """What a page holds; fails where a tag is not closed in its turn."""

    def __init__(self, page: Path | str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []  # (tag, name, value)
        self.source = page if isinstance(page, str) else page.read_text()
        self.words = ""
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data + "\n"

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def number_cells(store: Path, name: str) -> zarr.Array[Any]:
    """Give an image of a test's store its instances: the pieces of the target, but for one that is left out."""
    root = zarr.open_group(store)
    target = root[f"images/{name}/labels/target/target"]
    assert isinstance(target, zarr.Array)
    labels = label_components(np.asarray(target[:]))
    labels[labels == 1] = 0
    path = f"images/{name}/labels/instances/instances"
    with zarr.config.set({"array.write_empty_chunks": True}):
        return root.create_array(path, data=labels, attributes={"unetprep": {"complete": True}})


def held_out(shown: Shown, regions: Sequence[RegionScores] = (), maps: Sequence[ErrorMap] = ()) -> HeldOut:
    """Results of a test split, with the pooled scores of the given regions for every method."""
    scores = dict.fromkeys(METHODS, pooled([found.scores for found in regions]))
    return HeldOut("test", 3, tuple(regions), 1, 1, True, True, scores, shown, tuple(maps), DecodingParams())


def region_scores(
    truth: NDArray[np.int32], proposal: NDArray[np.int32], name: str = "a", num_slices: int = 1, z: int = 0
) -> RegionScores:
    """Scores and errors of labels (y, x) as one slice of an image."""
    counts = cell_errors(np.maximum(truth, 0), proposal, truth < 0).counts
    region = Region(name, 2, z, z + 1, 0, truth.shape[0], 0, truth.shape[1])
    return RegionScores(region, num_slices, score_instances(proposal, truth), counts)


def error_map(truth: NDArray[np.int32], proposal: NDArray[np.int32]) -> ErrorMap:
    """The map of the errors of labels (y, x) of an image that is 100 everywhere."""
    errors = cell_errors(np.maximum(truth, 0), proposal, truth < 0)
    image = np.full((1, 1, *truth.shape), 100, np.uint8)
    return make_error_map(region_scores(truth, proposal), image, truth[None], proposal[None], errors)
