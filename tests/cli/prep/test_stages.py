"""Commands of the stages and of recipes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

import unetprep
from tests import reference
from tests.cli.conftest import Run, labels_of
from tests.pipeline.conftest import tree
from unetprep.engine.scheduler import Scheduler
from unetprep.params import ClusterParams


def test_weights_work_on_their_own_and_a_second_run_has_nothing_to_do(run: Run, cells: Path) -> None:
    said = run("unetprep weights --in labels.tif --out ds.zarr --class-weights 1,1").stdout
    assert said.splitlines()[0].startswith("import: wrote 1 of 1 shards")
    assert said.splitlines()[1].startswith("weights: wrote 2 of 2 shards")
    labels = labels_of(cells)
    expected = reference.weight_map(labels, reference.separate(labels), (1, 1))
    found = zarr.open_array(str(cells / "ds.zarr"), path="images/labels/weights", mode="r")[0]
    np.testing.assert_allclose(np.asarray(found), expected, atol=2e-6)
    before = tree(cells / "ds.zarr")
    again = run("unetprep weights --in labels.tif --out ds.zarr --class-weights 1,1").stdout
    assert again == (
        "import: nothing to do, all 1 shards are there\nweights: nothing to do, all 2 shards are there\n-> ds.zarr\n"
    )
    assert tree(cells / "ds.zarr") == before


def test_the_stages_one_after_the_other_and_a_recipe_give_the_same_store(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out one.zarr --test-fraction 0.3 --val-fraction 0.2")
    run("unetprep weights --out one.zarr --sigma 4")
    run("unetprep deform --in one.zarr --out one.zarr --fields 20 --seed 3")
    run("unetprep tiles --out one.zarr --tile 188 --margin 16")
    (cells / "recipe.toml").write_text(
        'out = "two.zarr"\n[import]\nimage = "img.tif"\nlabels = ["labels.tif"]\ntest-fraction = 0.3\n'
        "val-fraction = 0.2\n[weights]\nsigma = 4\n[deform]\nfields = 20\nseed = 3\n[tiles]\ntile = 188\nmargin = 16\n"
    )
    said = json.loads(run("unetprep run recipe.toml --json").stdout)
    assert said["schema_version"] == 1
    assert (said["command"], said["status"]) == ("run", "done")
    assert [s["stage"] for s in said["stages"]] == ["import", "weights", "deform", "tiles"]
    assert tree(cells / "one.zarr") == tree(cells / "two.zarr")
    assert json.loads(run("unetprep run recipe.toml --json").stdout)["status"] == "nothing to do"


def test_components_and_ignored_pixels_by_options_and_by_a_recipe(run: Run, cells: Path) -> None:
    mask = (labels_of(cells) > 0).astype(np.uint8)
    mask[100:] = 255
    tifffile.imwrite(cells / "labels.tif", mask)
    options = "--instances components --connectivity 8 --ignore-label 255"
    run(f"unetprep import --image img.tif --labels labels.tif --out one.zarr {options}")
    (cells / "recipe.toml").write_text(
        'out = "two.zarr"\n[import]\nimage = "img.tif"\nlabels = "labels.tif"\n'
        'instances = "components"\nconnectivity = 8\nignore-label = 255\n[deform]\nfields = 1\n[tiles]\ntile = 188\n'
    )
    run("unetprep run recipe.toml")
    run("unetprep weights --in labels.tif --out one.zarr --overwrite " + options)
    found = [
        np.asarray(zarr.open_array(str(cells / f"{store}.zarr/images/{name}/labels/instances/instances"), mode="r"))
        for store, name in (("one", "img"), ("two", "img"), ("one", "labels"))
    ]
    assert (found[0] == -1).sum() == 40 * 110
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_a_test_set_is_imported_into_its_split_by_an_option_and_by_a_recipe(run: Run, cells: Path) -> None:
    for store in ("one", "two"):
        run(f"unetprep import --image img.tif --labels labels.tif --out {store}.zarr --val-fraction 0.3")
    for name in ("img", "labels"):
        tifffile.imwrite(cells / f"{name}-held-out.tif", np.rot90(tifffile.imread(cells / f"{name}.tif")))
    held_out = "import --image img-held-out.tif --labels labels-held-out.tif"
    run(f"unetprep {held_out} --out one.zarr --split test")
    (cells / "recipe.toml").write_text(
        'out = "two.zarr"\n[import]\nimage = "img-held-out.tif"\nlabels = "labels-held-out.tif"\nsplit = "test"\n'
        "[deform]\nfields = 1\n[tiles]\ntile = 188\n"
    )
    run("unetprep run recipe.toml")
    for store in ("one", "two"):
        images = zarr.open_group(str(cells / f"{store}.zarr/images"), mode="r")
        splits = {name: group.attrs["unetprep"]["split"] for name, group in images.groups()}  # type: ignore[index,call-overload]
        assert splits == {"img-train": "train", "img-val": "val", "img-held-out": "test"}
    said = run(f"unetprep {held_out} --out one.zarr --split val", 4).output
    assert "it is test there and val now" in said
    run(f"unetprep {held_out} --out one.zarr --split holdout", 2)
    run(f"unetprep {held_out} --out three.zarr --split test --test-fraction 0.2", 3)
    assert not (cells / "three.zarr").exists()


def unreadable(folder: Path) -> None:
    (folder / "labels.tif").write_bytes(b"II*\x00\x08\x00")


def cut_short(folder: Path) -> None:
    whole = (folder / "labels.tif").read_bytes()
    (folder / "labels.tif").write_bytes(whole[: len(whole) // 2])


def rewrite(name: str, change: str) -> object:
    def apply(folder: Path) -> None:
        array = tifffile.imread(folder / name)
        tifffile.imwrite(folder / name, eval(change, {"np": np, "a": array}))

    return apply


BAD_INPUT = {
    "missing": (lambda folder: (folder / "labels.tif").unlink(), "labels.tif is not there"),
    "unreadable": (unreadable, "labels.tif cannot be read"),
    "cut short": (cut_short, "labels.tif cannot be read"),
    "float": (rewrite("labels.tif", "a.astype('f4') * 1.5"), "labels of dtype float32"),
    "negative": (rewrite("labels.tif", "-a.astype('i4')"), "holds the label -"),
    "too large": (rewrite("labels.tif", "a.astype('u4') * np.uint32(2**30)"), "holds the label"),
    "shape": (rewrite("labels.tif", "a[:-1]"), r"img.tif and its labels labels.tif differ in size: (1, 140, 110)"),
    "binary": (rewrite("labels.tif", "(a > 0).astype('u1')"), "looks like a binary mask"),
    "nan": (rewrite("img.tif", "np.where(a > 200, np.nan, a).astype('f4')"), "img.tif holds nan at (c, z, y, x) ="),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_message_and_leaves_nothing(run: Run, cells: Path, case: str) -> None:
    spoil, message = BAD_INPUT[case]
    spoil(cells)  # type: ignore[operator]
    result = run("unetprep import --image img.tif --labels labels.tif --out ds.zarr", 3)
    assert message in result.stderr
    assert result.stderr.count("error:") == 1
    assert result.stdout == ""
    assert sorted(p.name for p in cells.iterdir() if p.name not in ("img.tif", "labels.tif")) == []


def test_an_unusable_store_gets_one_message(run: Run, cells: Path) -> None:
    assert "no.zarr is not there" in run("unetprep weights --out no.zarr", 3).stderr
    assert "img.tif is not a Zarr v3 group" in run("unetprep weights --out img.tif", 3).stderr
    zarr.create_group(str(cells / "other.zarr"))
    assert "no store of unetprep" in run("unetprep info other.zarr", 3).stderr
    run("unetprep weights --in labels.tif --out ds.zarr")
    root = zarr.open_group(str(cells / "ds.zarr"))
    root.attrs["unetprep"] = {"format_version": 99}
    said = run("unetprep tiles --out ds.zarr", 3).stderr
    assert "has format version 99" in said
    assert "allowed: version 2" in said
    assert "has format version 99" in run("unetprep weights --in labels.tif --out ds.zarr", 3).stderr


def test_what_is_there_is_kept(run: Run, cells: Path) -> None:
    run("unetprep weights --in labels.tif --out ds.zarr")
    before = tree(cells / "ds.zarr")
    assert "sigma is 5.0 there and 7.0 now" in run("unetprep weights --out ds.zarr --sigma 7", 4).stderr
    (cells / "taken").write_text("mine")
    assert "exists and is not a store" in run("unetprep weights --in labels.tif --out taken", 4).stderr
    assert (cells / "taken").read_text() == "mine"
    assert tree(cells / "ds.zarr") == before


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("unetprep tiles --out ds.zarr --tile 500", 3, "allowed: 492 or 508, and so on in steps of 16"),
        ("unetprep tiles --in labels.tif --out ds.zarr", 3, "one store: this stage reads the arrays that it holds"),
        ("unetprep tiles --out ds.zarr --tile 188", 3, "images/labels/image is missing in ds.zarr"),
        ("unetprep weights --out ds.zarr --class-weights 1", 3, "class-weights is 1\n"),
        ("unetprep deform --out ds.zarr --grid 1", 3, "grid is 1,1\n  allowed: a number from 2"),
        ("unetprep weights --out ds.zarr --scheduler abacus", 3, "scheduler is 'abacus'"),
        ("unetprep weights --in labels.tif", 2, "Missing option '--out'"),
        ("unetprep wieghts", 2, "did you mean 'weights'?"),
    ],
)
def test_misuse_is_explained(run: Run, cells: Path, line: str, code: int, message: str) -> None:
    run("unetprep weights --in labels.tif --out ds.zarr")
    assert message in run(line, code).stderr


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            'out = "x.zarr"\n[import]\nlabels = "labels.tif"\n[weights]\nsgima = 3',
            "'sgima' in [weights] of recipe.toml is not known; did you mean 'sigma'?",
        ),
        ('out = "x.zarr"\n[import]\nlabels = "labels.tif"\n[wieghts]\n', "did you mean 'weights'?"),
        (
            'out = "x.zarr"\n[import]\nlabels = "labels.tif"\n[tiles]\ntile = "big"',
            "tile in [tiles] of recipe.toml is 'big'\n  allowed: a value like 572",
        ),
        (
            'out = "x.zarr"\n[import]\nlabels = "labels.tif"\nignore-label = "none"',
            "ignore-label in [import] of recipe.toml is 'none'\n  allowed: a value of type int",
        ),
        (
            'out = "x.zarr"\n[import]\nlabels = "labels.tif"\nconnectivity = 6',
            "connectivity is 6 with dims 2\n  allowed: 4 or 8",
        ),
        ('out = "x.zarr"\n', "does not say labels in [import]"),
        ("out = ", "recipe.toml is not TOML"),
    ],
)
def test_a_wrong_recipe_is_explained(run: Run, cells: Path, recipe: str, message: str) -> None:
    (cells / "recipe.toml").write_text(recipe)
    assert message in run("unetprep run recipe.toml", 3).stderr
    assert not (cells / "x.zarr").exists()


def test_a_read_only_place_is_named(run: Run, cells: Path) -> None:
    (cells / "file").write_text("")
    said = run("unetprep weights --in labels.tif --out file/ds.zarr", 1).stderr
    assert "file/ds.zarr" in said
    assert said.count("error:") == 1


def test_a_run_ends_with_its_exit_code_as_a_process_too(cells: Path) -> None:
    line = [sys.executable, "-c", "from unetcli.prep.main import main; main()", "weights", "--in", "labels.tif"]
    done = subprocess.run([*line, "--out", "ds.zarr"], cwd=cells, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "-> ds.zarr")
    assert " weights 1/1" in done.stderr
    quiet = subprocess.run([*line, "--out", "new.zarr", "-q"], cwd=cells, capture_output=True, text=True, check=False)
    assert (quiet.returncode, quiet.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (
            "--formula falk2019 --background-weight 0.2",
            {"w0": 50, "sigma": 6, "background_weight": 0.2, "rim_sigma": 10},
        ),
        ("--border-on all --separate symmetric", {"w0": 10, "sigma": 5, "border_on": "all"}),
        ("--spacing 0.5,0.5 --sigma 2 --engine edt", {"spacing": [0.5, 0.5], "engine": "edt", "sigma": 2}),
    ],
)
def test_the_ways_of_weighing_reach_the_store(
    run: Run, cells: Path, options: str, parameters: dict[str, object]
) -> None:
    run(f"unetprep weights --in labels.tif --out ds.zarr {options}")
    found = json.loads(run("unetprep info ds.zarr --json").stdout)["images"][0]["arrays"]["weights"]["parameters"]
    assert found | parameters == found
    words = options.replace("--", "").split()
    names = {"background-weight": "background_weight", "border-on": "border_on"}
    given = {names.get(k, k): v for k, v in zip(words[::2], words[1::2], strict=True)}
    numbers = {k: float(v) for k, v in given.items() if k in ("background_weight", "sigma")}
    spacing = {"spacing": (0.5, 0.5)} if "spacing" in given else {}
    ways = {k: v for k, v in given.items() if k in ("formula", "border_on", "separate")}
    expected = unetprep.weight_map(labels_of(cells), **ways, **numbers, **spacing)  # type: ignore[arg-type]
    stored = np.asarray(zarr.open_array(str(cells / "ds.zarr"), path="images/labels/weights", mode="r")[0])
    np.testing.assert_allclose(stored, expected, rtol=2e-7, atol=2e-6)


def test_ignored_pixels_weigh_nothing(run: Run, cells: Path) -> None:
    labels = labels_of(cells).astype(np.int16)
    labels[:30] = -1
    tifffile.imwrite(cells / "labels.tif", labels)
    run("unetprep weights --in labels.tif --out ds.zarr --ignore-label -1")
    expected = unetprep.weight_map(labels, ignore_label=-1)
    stored = np.asarray(zarr.open_array(str(cells / "ds.zarr"), path="images/labels/weights", mode="r")[0])
    np.testing.assert_array_equal(stored, expected)
    assert not stored[:30].any()


def test_an_option_beats_the_file_of_a_cluster_which_beats_the_recipe(
    run: Run, cells: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Scheduler] = []
    of = Scheduler.of

    def instead(params: ClusterParams) -> Scheduler:
        seen.append(of(params))
        return Scheduler()

    monkeypatch.setattr(Scheduler, "of", instead)
    (cells / "recipe.toml").write_text(
        'out = "ds.zarr"\n[import]\nlabels = "labels.tif"\n[deform]\nfields = 1\n[tiles]\ntile = 188\n'
        '[cluster]\nscheduler = "processes"\nworkers = 3\nmemory = "1GB"\n'
    )
    (cells / "cluster.toml").write_text('[cluster]\nscheduler = "tcp://head:1"\n')
    run("unetprep deform --out ds.zarr --fields 1 --cluster recipe.toml --workers 5")
    run("unetprep deform --out ds.zarr --fields 1 --cluster cluster.toml --memory 2GB")
    run("unetprep deform --out ds.zarr --fields 1")
    assert seen[:3] == [Scheduler("processes", 5, 10**9), Scheduler("tcp://head:1", 0, 2 * 10**9), Scheduler()]
    run("unetprep run recipe.toml --workers 4", 3)  # labels alone make no tiles
    assert seen[3] == Scheduler("processes", 4, 10**9)
    assert "no.toml is not there" in run("unetprep deform --out ds.zarr --cluster no.toml", 3).stderr
