"""The report of a run: one self-contained page, and its scores."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.reporting.helpers import QUICK, SECTIONS, MakeStore, Page
from unettrain.config import FitConfig
from unettrain.errors import Conflict, InvalidInput
from unettrain.reporting import Report
from unettrain.reporting import report as write_report
from unettrain.reporting.scores import (
    METHODS,
)
from unettrain.training_loop import fit


@pytest.fixture(scope="module")
def written(default_run: Path) -> tuple[Report, Page]:
    report = write_report(default_run)
    return report, Page(report.path)


def test_the_page_loads_nothing(written: tuple[Report, Page]) -> None:
    _, page = written
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(page.tags)
    assert page.values("src")
    assert all(src.startswith("data:image/png;base64,") for src in page.values("src"))
    assert page.values("href") == page.values("srcset") == []
    for forbidden in ("url(", "@import", "http:", "https:", "javascript:"):
        assert forbidden not in page.source.lower()


def test_every_section_is_there_in_its_order(written: tuple[Report, Page]) -> None:
    _, page = written
    assert [value for tag, name, value in page.attributes if (tag, name) == ("section", "id")] == SECTIONS


def test_every_picture_and_chart_has_a_description(written: tuple[Report, Page]) -> None:
    _, page = written
    assert page.tags.count("img") == len(page.values("alt")) == 4 + 4 + 8 + 2 + 5 + 2
    assert all(page.values("alt"))
    charts = [v for tag, name, v in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(charts) == 2


def test_the_page_shows_the_scores_that_are_written(written: tuple[Report, Page], default_run: Path) -> None:
    report, page = written
    assert report.path == default_run / "report.html"
    told = report.as_dict()
    assert told == {"out": str(report.path), "scores": json.loads((default_run / "scores.json").read_text())}
    about = ["split", "images", "seed", "errors", "regions"]
    assert list(told["scores"]) == [*report.scores, *about] == [*METHODS, *about]
    *lines, last = report.as_text().splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(METHODS)
    assert last in page.words.splitlines()  # what the scores rest on
    (region,) = told["scores"]["regions"]
    assert (region["image"], region["scores"]) == ("cells2", told["scores"]["trained"])
    assert region["errors"] == told["scores"]["errors"]
    for method in METHODS:
        found = told["scores"][method]
        for value in (found["iou"], found["mean_ap"], *(found["ap"][t] for t in ("0.50", "0.70", "0.90"))):
            assert f"\n{value:.2f}\n" in page.words
        for count in (found["found"], found["proposed"], found["cells"]):
            assert f"\n{count:,}\n" in page.words


def test_the_page_tells_how_the_run_was_made(written: tuple[Report, Page], default_store: Path) -> None:
    _, page = written
    assert f"unetprep tiles --out {default_store}" not in page.words  # the tests' stores record no parameters
    assert "--steps 4 --base-channels 2 --validate-every 2 --log-every 1" in page.words.replace("\n", " ")
    assert "clip-norm" in page.words
    assert "unettrain 0." in page.words


def test_the_same_run_gives_the_same_page(run: Path) -> None:
    first = write_report(run).path.read_bytes()
    assert write_report(run).path.read_bytes() == first


def test_the_page_may_be_written_elsewhere(run: Path, tmp_path: Path) -> None:
    for name in ("report.html", "scores.json"):
        (run / name).unlink(missing_ok=True)
    report = write_report(run, tmp_path / "shown.html")
    assert report.path == tmp_path / "shown.html"
    assert not (run / "report.html").exists()
    assert (run / "scores.json").exists()
    again = write_report(run, tmp_path / "new folder" / "shown.html").path
    assert again.read_bytes() == report.path.read_bytes()


def test_only_a_report_is_replaced_and_that_is_known_before_anything_is_computed(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    (tmp_path / "mine.tif").write_text("mine")
    (tmp_path / "folder.html").mkdir()
    report = write_report(run, tmp_path / "shown.html")
    monkeypatch.setattr("unettrain.reporting.write.score_held_out", pytest.fail)
    for name, error, message in (
        ("mine.html", Conflict, "mine.html is a file that unettrain report did not write"),
        ("folder.html", Conflict, "folder.html is a folder that unettrain report did not write"),
        ("mine.tif", InvalidInput, "a name that ends in .html, .htm"),
        ("s3://bucket/a.html", InvalidInput, "--out is s3://bucket/a.html\n  allowed: a path on this machine"),
        ("mine.tif/a.html", InvalidInput, "mine.tif, which is not a folder"),
    ):
        with pytest.raises(error, match=message):
            write_report(run, name if "://" in name else tmp_path / name)
    (run / "scores.json").write_text('{"mine": 1}')
    with pytest.raises(Conflict, match=r"scores\.json is a file that unettrain report did not write"):
        write_report(run, report.path)
    assert (tmp_path / "mine.html").read_text() == "<p>mine</p>"
    assert (run / "scores.json").read_text() == '{"mine": 1}'


def test_names_are_escaped(run: Path, tmp_path: Path, default_store: Path) -> None:
    odd = tmp_path / "<script>alert(1)<" / 'a & "b" <i>.zarr'
    shutil.copytree(default_store, odd)
    page = Page(write_report(run.rename(tmp_path / "<b>'run'&amp;"), store=odd).path)
    assert not {"script", "i"} & set(page.tags)
    assert str(odd) in page.words
    assert "<b>'run'&amp;" in page.words


def test_scores_of_validation_images_carry_a_warning(written: tuple[Report, Page]) -> None:
    report, page = written
    assert report.split == "val"
    assert report.images == ("cells2",)
    assert "no images in the split test" in page.words


def test_test_images_are_preferred_and_need_no_warning(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    samples = [cells(40, 0), cells(40, 1, "val"), cells(44, 2, "test"), cells(30, 3, "test")]
    fit(make_store(samples), tmp_path / "run", QUICK)
    report = write_report(tmp_path / "run")
    assert report.split == "test"
    assert report.images == ("cells2", "cells3")
    assert "has no images in the split" not in report.path.read_text()


def test_scores_of_training_images_carry_a_warning(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    fit(make_store([cells(40, 0)], num_fields=0), tmp_path / "run", FitConfig(**vars(QUICK) | {"deform": False}))
    report = write_report(tmp_path / "run")
    page = Page(report.path)
    assert report.split == "train"
    assert "The scores below are of training images" in page.words
    assert "There is no validation curve" in page.words
    assert "no deformation fields" in page.words
    assert "trained without it" in page.words
    assert "--no-deform" in page.words
