"""Pictures of a store."""

import json
from pathlib import Path

import imageio.v3 as imageio
import matplotlib
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from tests.cli.conftest import Run
from unetprep import displacement_field
from unetprep.pictures import COLOURS, cells_over, picture
from unetprep.previews.fields import select_fields
from unetprep.previews.fields_figure import compose_fields
from unetprep.previews.weights import View, select
from unetprep.previews.weights_figure import Sheet, draw
from unetprep.store import Store


def import_and_weigh(run: Run) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    run("unetprep weights --out ds.zarr --w0 5 --sigma 2")


def test_a_picture_is_drawn_once_and_the_same_each_time(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    assert "run: unetprep weights" in run("unetprep preview ds.zarr --out p.png", 3).stderr
    run("unetprep weights --out ds.zarr")
    said = json.loads(run("unetprep preview ds.zarr --out p.png --at 10,20 --size 64 --json").stdout)
    assert {k: said[k] for k in ("image", "z", "y", "x", "height", "width")} == {
        "image": "img", "z": 0, "y": 10, "x": 20, "height": 64, "width": 64
    }  # fmt: skip
    picture = imageio.imread(cells / "p.png")
    assert min(picture.shape[:2]) > 600
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 500
    assert "p.png already exists" in run("unetprep preview ds.zarr --out p.png", 4).stderr
    before = (cells / "p.png").read_bytes()
    run("unetprep preview ds.zarr --out p.png --at 10,20 --size 64 --overwrite")
    assert (cells / "p.png").read_bytes() == before
    run("unetprep preview ds.zarr --out p.png --overwrite")
    assert (cells / "p.png").read_bytes() != before
    assert not list(cells.glob(".*"))
    for out, code, message in (
        ("img.tif", 3, "a name that ends in .png"),
        ("mine.png", 4, "mine.png is a file that unetprep preview did not write"),
        ("folder.png", 4, "folder.png is a folder that unetprep preview did not write"),
        ("ds.zarr/p.png", 3, "lies inside the Zarr hierarchy"),
        ("s3://bucket/p.png", 3, "allowed: a path on this machine"),
    ):
        imageio.imwrite(cells / "mine.png", picture)
        (cells / "folder.png").mkdir(exist_ok=True)
        before = (cells / "mine.png").read_bytes()
        assert message in run(f"unetprep preview ds.zarr --out {out} --overwrite", code).stderr
        assert (cells / "mine.png").read_bytes() == before
    assert not (cells / "s3:").exists()


def test_labels_alone_and_ignored_pixels_are_drawn(run: Run, cells: Path) -> None:
    labels = tifffile.imread(cells / "labels.tif")
    labels[:30] = 999
    tifffile.imwrite(cells / "labels.tif", labels)
    run("unetprep weights --in labels.tif --out ds.zarr --formula falk2019 --ignore-label 999")
    assert "140 x 110 pixels from (0, 0)" in run("unetprep preview ds.zarr --out p.png").stdout


def test_every_panel_shows_its_array_where_it_lies(run: Run, cells: Path) -> None:
    """A pixel of the window is a square of the picture, read in its middle."""
    import_and_weigh(run)
    preview = select("ds.zarr", View(at=(71, 30), size_px=60))
    sheet, scale = Sheet(600, 600, num_above=3), 10
    drawn = imageio.imread(draw(preview), extension=".png")[..., :3]
    assert drawn.shape[1::-1] == sheet.size

    def panel(row: int, column: int) -> NDArray[np.uint8]:
        x, y = sheet.panel(row, column)
        return drawn[y : y + 600, x : x + 600][scale // 2 :: scale, scale // 2 :: scale]

    assert_same = np.testing.assert_array_equal
    assert_same(panel(0, 0), picture(preview.image, preview.instances.shape))
    assert_same(panel(0, 1), cells_over(preview.image, preview.instances))
    assert_same(panel(0, 2)[..., 0], preview.target * 255)
    for column, values in enumerate((*preview.distances, preview.weights)):
        colours: dict[float, list[int]] = {}
        shown = panel(1, column).reshape(-1, 3)
        for value, colour in zip(values.ravel().tolist(), shown.tolist(), strict=True):
            assert colours.setdefault(value, colour) == colour, "one value, one colour"
        luminance = [np.dot(colours[v], (0.299, 0.587, 0.114)) for v in sorted(colours) if np.isfinite(v)]
        assert luminance[-1] > luminance[0] + 100
        assert np.diff(luminance).min() > -2, "the more, the brighter"
        assert ([180] * 3 in shown.tolist()) == bool(np.isinf(values).any()), "grey is what is beyond"


def test_the_users_settings_change_nothing(run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_and_weigh(run)
    preview = select("ds.zarr", View())
    expected = draw(preview)
    assert b"Matplotlib" not in expected
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 30)
    assert draw(preview) == expected
    assert matplotlib.rcParams["font.size"] == 30


def test_what_stands_there_is_kept_till_the_end(run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("unetprep weights --in labels.tif --out ds.zarr")
    run("unetprep preview ds.zarr --out new/p.png")
    before = (cells / "new/p.png").read_bytes()

    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left" in run("unetprep preview ds.zarr --out new/p.png --size 32 --overwrite", 1).stderr
    assert (cells / "new/p.png").read_bytes() == before
    assert [path.name for path in (cells / "new").iterdir()] == ["p.png"]


def test_misuse_is_explained(run: Run, cells: Path) -> None:
    run("unetprep weights --in labels.tif --out ds.zarr")
    assert "at is '5'\n  allowed: two whole numbers" in run("unetprep preview ds.zarr --out p.png --at 5", 3).stderr
    assert (
        "--out is p.gif\n  allowed: a name that ends in .png" in run("unetprep preview ds.zarr --out p.gif", 3).stderr
    )


def test_fields_move_a_board_and_a_tile(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    assert "unetprep deform --out ds.zarr" in run("unetprep preview ds.zarr --out f.png --fields", 3).stderr
    run("unetprep deform --out ds.zarr --fields 4 --tile 252 --sigma 6")
    said = json.loads(run("unetprep preview ds.zarr --out f.png --fields --field 3 --field 1 --json").stdout)
    assert (said["image"], said["fields"], said["tile"], said["y"], said["x"]) == ("img", [3, 1], 252, -56, -71)
    height, width = imageio.imread("f.png").shape[:2]
    assert (width, height) == (28 + 3 * 320 + 2 * 16 + 28, 92 + 56 + 2 * 320 + 16 + 28)
    before = Path("f.png").read_bytes()
    run("unetprep preview ds.zarr --out f.png --fields --field 3 --field 1", 4)
    run("unetprep preview ds.zarr --out g.png --fields --field 3 --field 1")
    assert Path("g.png").read_bytes() == before
    refused = run("unetprep preview ds.zarr --out h.png --fields --field 4", 3).stderr
    assert "field is 4\n  allowed: 0 to 3, the fields of ds.zarr" in refused
    refused = run(f"unetprep preview ds.zarr --out h.png --fields {'--field 0 ' * 7}", 3).stderr
    assert "7 fields are requested\n  allowed: up to 6 in one picture" in refused
    for fields in ("", " --fields"):
        assert "size is 0 pixels" in run(f"unetprep preview ds.zarr --out h.png --size 0{fields}", 3).stderr
    large, small = (select_fields("ds.zarr", View(size_px=side), (3,)).moved[1].folded for side in (252, 28))
    assert large == 0 < small
    assert "--field goes with --fields" in run("unetprep preview ds.zarr --out h.png --field 1", 2).stderr
    store = Store("ds.zarr")
    made = store.record("fields/grids")["parameters"]
    store.update_record("fields/grids", parameters={k: v for k, v in made.items() if k != "interpolation"})
    refused = run("unetprep preview ds.zarr --out h.png --fields", 3).stderr
    assert "were computed by another version: interpolation is not recorded" in refused
    assert not Path("h.png").exists()


def test_cells_keep_their_colours_through_all_fields(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    run("unetprep deform --out ds.zarr --fields 2 --sigma 4")
    shown = select_fields("ds.zarr", View(size_px=188), (0, 1))
    still, moved, _ = shown.moved
    whole = np.asarray(imageio.imread("labels.tif"))
    expected = np.pad(whole, 100, mode="reflect")[100 + shown.y0 :, 100 + shown.x0 :][:188, :188]
    np.testing.assert_array_equal(still.instances, expected)
    assert still.image is not None
    assert moved.largest_px > 0 == still.largest_px
    grid = np.asarray(Store("ds.zarr").array("fields/grids")[0])
    places = np.mgrid[:188, :188] + displacement_field(grid, (188, 188))
    y, x = np.clip(np.floor(places + 0.5).astype(int), 0, 187)
    near = (abs(places % 1 - 0.5) > 1e-6).all(axis=0) & (places >= 0).all(axis=0) & (places <= 187).all(axis=0)
    np.testing.assert_array_equal(moved.instances[near], still.instances[y, x][near])
    tiles = [np.asarray(axes.images[0].get_array()) for axes in compose_fields(shown).axes[1::2]]
    kept = set.intersection(*({*np.unique(m.instances[5:-5, 5:-5]).tolist()} - {0} for m in shown.moved))
    assert len(kept) > 3
    for cell in kept:
        seen = [{*map(tuple, tile[m.instances == cell].tolist())} for tile, m in zip(tiles, shown.moved, strict=True)]
        assert set.intersection(*seen, {*map(tuple, COLOURS.astype(int).tolist())}), cell
