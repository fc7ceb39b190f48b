"""Short runs on the default store, and a parser of report pages."""

import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from unettrain.config import FitConfig
from unettrain.training_loop import fit

MakeStore = Callable[..., Path]
QUICK = FitConfig(steps=4, base_channels=2, validate_every=2, log_every=1)
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


@pytest.fixture(scope="session")
def default_run(default_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on the default store, which has training and validation images; not to be written to."""
    run = tmp_path_factory.mktemp("report") / "run"
    fit(default_store, run, QUICK)
    return run


@pytest.fixture
def run(default_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_run, tmp_path / "run"))
