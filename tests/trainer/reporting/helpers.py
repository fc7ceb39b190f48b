"""Helpers of the report's tests: a parser of pages, and labels of a store."""

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from unettrain.config import FitConfig
from unettrain.decoding.params import DecodingParams
from unettrain.metrics.components import label_components
from unettrain.reporting.scores import (
    HeldOut,
    Shown,
)

MakeStore = Callable[..., Path]
QUICK = FitConfig(steps=4, base_channels=2, validate_every=2, log_every=1)
SECTIONS = ["result", "data", "deformation", "tile", "training", "prediction", "making"]
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


def held_out(shown: Shown) -> HeldOut:
    return HeldOut("test", (), 1, 1, True, True, {}, shown, DecodingParams())
