"""The report of a run: one page that loads nothing and shows everything, and scores that are right."""

import json
import re
import shutil
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from unetprep.pictures import grey
from unettrain.config import FitConfig
from unettrain.data.store import attributes
from unettrain.errors import Conflict, InvalidInput
from unettrain.instances import label_components
from unettrain.metrics.scores import foreground, score
from unettrain.model import UNet
from unettrain.predict import predict_image
from unettrain.reporting import Report, write_report
from unettrain.reporting.commands_section import option
from unettrain.reporting.curves import Scale, Series, line_chart, linear_ticks, log_ticks, smoothed, thinned
from unettrain.reporting.examples import busiest_tile, corner_tile
from unettrain.reporting.inputs import read_run
from unettrain.reporting.page import colour_bar, element, table, text
from unettrain.reporting.pictures import (
    INFERNO,
    MISSED,
    VIRIDIS,
    WRONG,
    errors_in_colour,
    lookup_table,
    mapped,
    outline_path,
    png_uri,
    rgb,
)
from unettrain.reporting.regions import ALIGN_PX, Region, densest_window, middle, plan_regions, window_around
from unettrain.reporting.result_sections import prediction_section
from unettrain.reporting.scores import (
    HeldOut,
    Shown,
    cells_are_brighter,
    make_shown,
    network_mask,
    otsu_mask,
    predict_region,
)
from unettrain.reporting.summary_section import training_seconds
from unettrain.training_loop import fit

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


@pytest.fixture(scope="module")
def default_run(default_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on the default store, which has training and validation images; not to be written to."""
    run = tmp_path_factory.mktemp("report") / "run"
    fit(default_store, run, QUICK)
    return run


@pytest.fixture
def run(default_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_run, tmp_path / "run"))


@pytest.fixture(scope="module")
def written(default_run: Path) -> tuple[Report, Page]:
    report = write_report(default_run)
    return report, Page(report.path)


# -- the page ---------------------------------------------------------------------------------------------------------


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
    assert page.tags.count("img") == len(page.values("alt")) == 4 + 4 + 2 + 5
    assert all(page.values("alt"))
    charts = [v for tag, name, v in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(charts) == 2


def test_the_page_shows_the_scores_that_are_written(written: tuple[Report, Page], default_run: Path) -> None:
    report, page = written
    assert report.path == default_run / "report.html"
    assert json.loads((default_run / "scores.json").read_text()) == report.scores
    assert list(report.scores) == ["trained", "untrained", "otsu", "split", "images"]
    for method in ("trained", "untrained", "otsu"):
        found = report.scores[method]
        for value in (found["iou"], found["mean_ap"], *(found["ap"][t] for t in ("0.50", "0.70", "0.90"))):
            assert f"\n{value:.3f}\n" in page.words
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


# -- what a store may lack --------------------------------------------------------------------------------------------


def test_scores_of_validation_images_carry_a_warning(written: tuple[Report, Page]) -> None:
    report, page = written
    assert report.scores["split"] == "val"
    assert report.scores["images"] == ["cells2"]
    assert "no images in the split test" in page.words


def test_test_images_are_preferred_and_need_no_warning(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    samples = [cells(40, 0), cells(40, 1, "val"), cells(44, 2, "test"), cells(30, 3, "test")]
    fit(make_store(samples), tmp_path / "run", QUICK)
    report = write_report(tmp_path / "run")
    assert report.scores["split"] == "test"
    assert report.scores["images"] == ["cells2", "cells3"]
    assert "has no images in the split" not in report.path.read_text()


def test_scores_of_training_images_carry_a_warning(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    fit(make_store([cells(40, 0)], num_fields=0), tmp_path / "run", FitConfig(**vars(QUICK) | {"deform": False}))
    report = write_report(tmp_path / "run")
    page = Page(report.path)
    assert report.scores["split"] == "train"
    assert "The scores below are of training images" in page.words
    assert "There is no validation curve" in page.words
    assert "no deformation fields" in page.words
    assert "trained without it" in page.words
    assert "--no-deform" in page.words


def test_a_log_may_be_torn_or_missing(run: Path) -> None:
    with (run / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "lo')
    assert len(read_run(run).log) == 4
    (run / "log.jsonl").unlink()
    assert "The log of this run is empty." in Page(write_report(run).path).words


def test_a_store_may_have_moved(run: Path, make_store: MakeStore) -> None:
    moved = make_store()
    record = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(record | {"store": "not/there.zarr"}))
    with pytest.raises(InvalidInput, match=re.escape(f"unettrain report {run} --store STORE")):
        write_report(run)
    assert "no longer holds" not in write_report(run, store=moved).path.read_text()
    tiles = zarr.open_array(moved / "tiles/image")
    tiles.attrs["unetprep"] = {**attributes(tiles), "fingerprint": "another"}
    assert "tiles/image differ" in Page(write_report(run, store=moved).path).words


def test_a_run_that_is_not_there_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no run at .*no(.|\n)*unettrain fit STORE --run"):
        write_report(tmp_path / "no")
    (run / "best.pt").unlink()
    with pytest.raises(InvalidInput, match=r"has no best.pt(.|\n)*unettrain fit STORE --run"):
        write_report(run)
    (run / "config.json").write_text("{")
    with pytest.raises(InvalidInput, match="no JSON object"):
        write_report(run)


def test_a_store_without_images_is_refused(run: Path, make_store: MakeStore) -> None:
    store = make_store()
    shutil.rmtree(store / "images")
    with pytest.raises(InvalidInput, match="has no images, only what was made from them"):
        write_report(run, store=store)


# -- the scores -------------------------------------------------------------------------------------------------------


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


def test_the_scores_are_those_of_the_whole_images(run: Path, make_store: MakeStore) -> None:
    store = make_store()
    labels = np.asarray(number_cells(store, "cells2")[:])
    scores = write_report(run, store=store).scores
    opened = read_run(run, store)
    image = np.asarray(opened.array("images/cells2/image", "import")[:])
    for method, network in (
        ("trained", opened.checkpoint.build()),
        ("untrained", UNet(opened.checkpoint.network, QUICK.seed)),
    ):
        mask = foreground(predict_image(network, image, (0.0, 255.0)))
        assert scores[method] == score(mask, labels).as_dict()
    assert scores["otsu"] == score(otsu_mask(image, True), labels).as_dict()
    assert scores["otsu"]["cells"] == len(np.unique(labels)) - 1


def test_a_region_is_predicted_as_in_the_whole_image(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    store = make_store([cells(260, 0)])
    fit(store, tmp_path / "run", QUICK)
    opened = read_run(tmp_path / "run")
    network = opened.checkpoint.build()
    whole = predict_image(network, opened.array("images/cells0/image", "import"), (0.0, 255.0))
    (region,) = plan_regions({"cells0": ((1, 260, 260), 2)}, max_side_px=90)
    assert (region.y0, region.y1) == (64, 154)
    part = predict_region(opened, network, region, (1, 260, 260))
    np.testing.assert_allclose(part, whole[:, :, 64:154, 64:154], atol=1e-5)


def test_otsu_is_told_by_the_training_images_which_side_is_a_cell(
    run: Path, make_store: MakeStore, cells: Callable[..., Any]
) -> None:
    assert cells_are_brighter(read_run(run))
    bright = cells(40, 0)
    dark = type(bright)(255 - bright.image, bright.target, bright.weights)
    store = make_store([dark, cells(40, 1, "val")])
    assert not cells_are_brighter(read_run(run, store))
    assert "darker side" in Page(write_report(run, store=store).path).words


def test_ignored_pixels_are_shown_neither_as_cells_nor_as_errors() -> None:
    labels = np.zeros((2, 8, 8), np.int32)
    labels[0, :, :5] = -1
    labels[1, 2:4, 2:4] = 1
    labels[1, 6:] = -1
    probabilities = np.stack([(labels == 0) * 0.9, (labels != 0) * 0.9]).astype(np.float32)  # (class, z, y, x)
    shown = make_shown(Region("a", 3, 0, 2, 0, 8, 0, 8), np.zeros((1, 2, 8, 8), np.uint8), labels, probabilities)
    np.testing.assert_array_equal(shown.labels, labels[1])  # not the slice with the most ignored pixels
    section = Page(prediction_section(held_out(shown)))
    *_, errors = (iio.imread(b64decode(src.partition(",")[2]), extension=".png") for src in section.values("src"))
    assert errors[2:4, 2:4].mean() > 100  # found
    assert errors[6:].max() == 0
    outline = next(value for tag, name, value in section.attributes if (tag, name) == ("path", "d"))
    assert outline == outline_path(labels[1] > 0)


def held_out(shown: Shown) -> HeldOut:
    return HeldOut("test", (), 1, 1, True, True, {}, shown)


def test_a_network_that_gives_nan_predicts_background() -> None:
    nan = np.full((2, 1, 4, 4), np.nan, np.float32)
    assert not network_mask(nan).any()
    labels = np.ones((1, 4, 4), np.int32)
    shown = make_shown(Region("a", 2, 0, 1, 0, 4, 0, 4), np.zeros((1, 1, 4, 4), np.uint8), labels, nan)
    assert shown.probability.max() == 0


def test_ignored_pixels_do_not_decide_which_side_is_a_cell(make_store: MakeStore, run: Path) -> None:
    store = make_store()
    labels, image = number_cells(store, "cells0"), zarr.open_array(store / "images/cells0/image")
    opened = read_run(run, store)
    target = np.asarray(opened.array("images/cells0/labels/target/target", "weights")[:])
    ignored = (np.arange(target.size).reshape(target.shape) % 8 > 0) & (target == 0)
    image[:] = np.where(ignored, 255, np.asarray(image[:]))
    assert not cells_are_brighter(opened)
    labels[:] = np.where(ignored, -1, np.asarray(labels[:]))
    assert cells_are_brighter(read_run(run, store))


def test_otsu_splits_two_levels() -> None:
    image = np.zeros((2, 1, 4, 6), np.uint16)
    image[:, :, :, 3:] = 900
    np.testing.assert_array_equal(otsu_mask(image, True), image[0] > 0)
    np.testing.assert_array_equal(otsu_mask(image, False), image[0] == 0)
    assert not otsu_mask(np.full((1, 1, 3, 3), 7), True).any()


def test_the_shown_tiles_are_of_training_images(run: Path) -> None:
    opened = read_run(run)
    root = opened.root
    for tile in (busiest_tile(opened), corner_tile(opened)):
        assert np.asarray(root["tiles/split"][tile]) == 0  # type: ignore[index]
    corner = [int(np.asarray(root[f"tiles/{axis}"][corner_tile(opened)])) for axis in ("y0", "x0")]  # type: ignore[index]
    assert corner == [0, 0]


# -- regions ----------------------------------------------------------------------------------------------------------

SHAPES = st.dictionaries(
    st.text("ab", min_size=1, max_size=3),
    st.tuples(st.tuples(st.integers(1, 30), st.integers(1, 3000), st.integers(1, 3000)), st.sampled_from([2, 3])),
    min_size=1,
    max_size=6,
)


@given(SHAPES, st.integers(1, 10**7))
def test_regions_lie_in_their_images_and_stay_under_the_limit(images: Any, most: int) -> None:
    regions = plan_regions(images, most)
    assert len(regions) == len(set(regions)) >= 1
    for r in regions:
        (z, y, x), dims = images[r.name]
        assert 0 <= r.z0 < r.z1 <= z
        assert 0 <= r.y0 < r.y1 <= y
        assert 0 <= r.x0 < r.x1 <= x
        assert r.y0 % ALIGN_PX == r.x0 % ALIGN_PX == 0
        assert dims == 3 or r.z1 - r.z0 == 1
    everything = plan_regions(images, 10**18)
    assert regions == everything or len(regions) == max(1, len(everything) * most // sum(map(size, everything)))


def size(region: Region) -> int:
    return region.num_pixels


def test_small_data_are_used_whole() -> None:
    regions = plan_regions({"a": ((2, 50, 60), 2), "b": ((5, 70, 1024), 3)})
    assert regions == [
        Region("a", 2, 0, 1, 0, 50, 0, 60),
        Region("a", 2, 1, 2, 0, 50, 0, 60),
        Region("b", 3, 0, 5, 0, 70, 0, 1024),
    ]
    assert [r.connectivity for r in regions] == [4, 4, 6]


def test_windows() -> None:
    assert middle(10, 4) == (3, 7)
    assert middle(3, 4) == (0, 3)
    assert window_around(0, 100, 10) == (0, 10)
    assert window_around(50, 100, 10) == (45, 55)
    assert window_around(99, 100, 10) == (90, 100)
    mask = np.zeros((40, 12), bool)
    mask[30:36] = True
    rows, columns = densest_window(mask, 16)
    assert rows.start <= 30
    assert rows.stop >= 36
    assert (rows.stop - rows.start, columns) == (16, slice(0, 12))


# -- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anchors", [VIRIDIS, INFERNO])
def test_a_colour_map_begins_and_ends_at_its_anchors_and_grows_lighter(anchors: tuple[str, ...]) -> None:
    colours = lookup_table(anchors)
    assert colours.shape == (256, 3)
    for place, anchor in ((0, anchors[0]), (255, anchors[-1])):
        np.testing.assert_array_equal(colours[place], rgb(anchor))
    lightness = colours @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > -0.5).all()
    shown = mapped(np.array([[-5.0, 2.0, 4.0, 9.0]]), anchors, 2, 4)
    np.testing.assert_array_equal(shown[0], colours[[0, 0, 255, 255]])


def test_an_outline_runs_between_the_pixels() -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[1:3, 2:5] = 1
    assert outline_path(labels) == "M2 1h3M2 3h3M2 1v2M5 1v2"
    labels[3:5, 2:5] = 2  # touching: the line between them is there too
    assert "M2 3h3" in outline_path(labels)
    assert outline_path(np.ones((3, 3))) == outline_path(np.zeros((1, 1))) == ""


def test_an_image_is_shown_between_black_and_white() -> None:
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    shown = grey(image, (2.0, 9.0))
    assert shown.shape == (3, 4, 3)
    assert (shown[0, 2, 0], shown[2, 1, 0]) == (0, 255)
    assert (shown == shown[..., :1]).all()
    assert not grey(np.full((1, 2, 2), 3)).any()
    colour = np.stack([np.full((2, 2), value) for value in (0, 100, 200)])
    np.testing.assert_array_equal(grey(colour, (0, 200))[0, 0], [0, 128, 255])
    assert grey(np.zeros((5, 2, 2)), (0, 1)).shape == (2, 2, 3)


def test_errors_have_their_own_colours() -> None:
    image = np.zeros((1, 4, 3), np.uint8)
    truth, proposal = np.array([[1, 1, 0, 0]], bool), np.array([[1, 0, 1, 0]], bool)
    shown = errors_in_colour(image, truth, proposal)[0].astype(int)
    assert len({tuple(pixel) for pixel in shown}) == 4
    for place, colour in ((1, MISSED), (2, WRONG)):
        np.testing.assert_allclose(shown[place], 0.75 * rgb(colour), atol=0.5)


def test_a_picture_survives_as_png() -> None:
    colour = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    plain = np.repeat(colour[..., :1], 3, axis=2)
    for picture, stored in ((colour, colour), (plain, plain[..., 0])):
        data = b64decode(png_uri(picture).removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(iio.imread(data, extension=".png", plugin="pillow"), stored)


# -- curves -----------------------------------------------------------------------------------------------------------


def test_a_scale_places_values() -> None:
    assert [Scale(0, 10, 100, 200).place(v) for v in (0, 5, 10)] == [100, 150, 200]
    assert [Scale(0.1, 10, 200, 100, log=True).place(v) for v in (0.1, 1, 10)] == [200, 150, 100]


def test_ticks_are_round() -> None:
    assert linear_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert linear_ticks(0, 150) == [0, 50, 100, 150]
    assert linear_ticks(0.5, 0.5) == []
    assert log_ticks(0.1, 3) == [0.1, 0.2, 0.5, 1, 2]
    assert log_ticks(0.001, 10) == [0.001, 0.01, 0.1, 1, 10]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_linear_ticks_lie_in_the_range(low: float, span: float) -> None:
    ticks = linear_ticks(low, low + span)
    assert 2 <= len(ticks) <= 12
    assert all(low - 1e-6 * span <= t <= low + span + 1e-6 * span for t in ticks)


def test_a_chart_draws_its_points_where_they_belong() -> None:
    chart = line_chart([Series([0, 50, 100], [0, 1, 0.5], "train")], "a <b>", "step", "loss", (0, 1))
    assert 'points="46.0,246.0 243.0,30.0 440.0,138.0"' in chart
    assert chart.count("<circle") == 3
    assert 'aria-label="a &lt;b&gt;"' in chart
    for tick in ("0", "20", "100", "0.2", "1"):
        assert f">{tick}</text>" in chart


def test_a_chart_of_one_point_and_of_constant_values_is_drawn() -> None:
    assert 'points="440.0,246.0"' in line_chart([Series([3], [0.5], "train")], "d", "x", "y")
    assert 'points="440.0,246.0"' in line_chart([Series([3], [0.5], "train")], "d", "x", "y", log=True)
    assert "nan" not in line_chart([Series([0, 0], [0.0, 0.0], "train")], "d", "x", "y", (0.0, 0.0))


def test_curves_are_smoothed_and_thinned() -> None:
    assert smoothed([1, 1, 4, 1, 1], 3) == [1, 2, 2, 2, 1]
    assert smoothed([5.0], 3) == [5]
    assert thinned([1, 2, 3, 4], [0, 2, 4, 6], 2) == ([1.5, 3.5], [1, 5])
    assert thinned([], []) == ([], [])


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_elements_escape_what_they_are_given() -> None:
    assert element("p", text("<&>"), class_="a", stroke_width='"2"') == (
        '<p class="a" stroke-width="&quot;2&quot;">&lt;&amp;&gt;</p>'
    )
    assert "<th scope=\"col\">a&amp;b</th>" in table(["a&b"], [[text("<")]])  # fmt: skip
    assert 'style="left:50.00%">5<' in colour_bar(VIRIDIS, [5], 0, 10)


def test_the_time_of_a_run_that_was_interrupted_adds_up() -> None:
    assert training_seconds([]) == 0
    assert training_seconds([{"seconds": 1.0}, {"seconds": 4.0}, {"seconds": 2.0}, {"seconds": 3.0}]) == 7


def test_options_are_written_as_they_are_typed() -> None:
    assert option("base_channels", 8) == ["--base-channels", "8"]
    assert option("deform", False) == ["--no-deform"]
    assert option("class_weights", [0.5, 2.0]) == ["--class-weights", "0.5,2.0"]
