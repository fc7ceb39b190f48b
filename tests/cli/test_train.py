import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import zarr

from tests.cli.conftest import Run, labels_of
from tests.pipeline.conftest import tree
from tests.servers import upload
from unettrain.config import Augmentation
from unettrain.stream.tile_stream import TileStream

OWN = "images/img-test/labels/instances/instances"
SMALL = "--base-channels 2 --steps 3 --threads 1 --validate-every 2 --schedule constant"


@pytest.fixture
def store(run: Run, cells: Path) -> Path:
    """ds.zarr, with training and test tiles of a shallow network's size."""
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr --test-fraction 0.3")
    run("unetprep weights --out ds.zarr")
    run("unetprep deform --out ds.zarr --fields 5")
    run("unetprep tiles --out ds.zarr --depth 2 --tile 100 --margin 48")
    return cells / "ds.zarr"


def test_fit_predict_evaluate_report(run: Run, store: Path) -> None:
    said = json.loads(run(f"unettrain fit ds.zarr {SMALL} --json").stdout)
    assert (said["run"], said["step"], said["updates"]) == ("runs/ds", 3, 3)
    assert run(f"unettrain fit ds.zarr {SMALL}").stdout == "fit: nothing to do at step 3\n-> runs/ds\n"
    assert "trained 2 steps, 5 in all" in run(f"unettrain fit ds.zarr {SMALL} --steps 5").stdout

    run("unettrain predict runs/ds ds.zarr/images/img-test --out p.tif --instances none --threads 1")
    prediction = tifffile.imread("p.tif")
    assert prediction.shape == (42, 110)
    assert prediction.dtype == np.float32
    assert 0 <= prediction.min() <= prediction.max() <= 1

    scores = json.loads(run("unettrain evaluate p.tif ds.zarr/images/img-test --json").stdout)
    assert 0 <= scores["iou"] <= 1
    assert set(scores["ap"]) == {f"{t / 100:.2f}" for t in range(50, 95, 5)}
    assert f"IoU {scores['iou']:.4f}" in run("unettrain evaluate p.tif ds.zarr/images/img-test").stdout
    assert json.loads(run(f"unettrain evaluate p.tif file://{store}/images/img-test/ --json").stdout) == scores

    told = json.loads(run("unettrain report runs/ds --json").stdout)
    page = Path(told["out"]).read_text()
    assert f"{told['scores']['trained']['iou']:.2f}</" in page
    assert set(told["scores"]) >= {"trained", "untrained", "otsu"}


def test_formats_agree_and_a_file_is_predicted_as_its_image_in_the_store(run: Run, store: Path, cells: Path) -> None:
    run(f"unettrain fit ds.zarr {SMALL}")
    test_part = np.asarray(zarr.open_array(str(store), path="images/img-test/image", mode="r")[0, 0])
    tifffile.imwrite(cells / "part.tif", test_part)
    for k, (image, out) in enumerate(
        [("ds.zarr/images/img-test", "a.npy"), ("part.tif", "b.zarr"), ("part.tif", "c.tif")]
    ):
        network = f"runs/ds/{('best', 'last', 'best')[k]}.pt"
        run(f"unettrain predict {network} {image} --out {out} --instances none --threads 1")
    expected = np.load(cells / "a.npy")
    np.testing.assert_array_equal(zarr.open_array(str(cells / "b.zarr"), mode="r")[:], expected)
    np.testing.assert_array_equal(tifffile.imread(cells / "c.tif"), expected)


def test_an_image_in_a_bucket_is_predicted_and_scored_as_on_the_disk(run: Run, store: Path, s3: str) -> None:
    upload(store, f"{s3}/ds.zarr")
    run(f"unettrain fit {s3}/ds.zarr --run run {SMALL}")
    said = []
    for k, image in enumerate((f"{s3}/ds.zarr/images/img-test", "ds.zarr/images/img-test")):
        run(f"unettrain predict run {image} --out {k}.npy --instances none --threads 1")
        said.append(json.loads(run(f"unettrain evaluate {k}.npy {image} --json").stdout))
    assert said[0] == said[1]
    assert said[0]["cells"] == len(np.unique(zarr.open_array(str(store), path=OWN, mode="r")[:])) - 1
    np.testing.assert_array_equal(np.load("0.npy"), np.load("1.npy"))


def test_a_mask_can_be_evaluated(run: Run, cells: Path) -> None:
    labels = labels_of(cells)
    np.save(cells / "mask.npy", (labels > 0).astype(np.uint8))
    said = json.loads(run("unettrain evaluate mask.npy labels.tif --json").stdout)
    assert said["iou"] == 1
    assert said["cells"] == len(np.unique(labels)) - 1 > said["proposed"]  # touching cells melt into one piece


def test_pieces_hang_together_through_slices_only_in_a_volume(run: Run, cells: Path) -> None:
    stack = np.zeros((2, 9, 9), np.uint8)
    stack[:, 2:5, 2:5] = 1
    np.save(cells / "stack.npy", stack)
    assert json.loads(run("unettrain evaluate stack.npy stack.npy --dims 2 --json").stdout)["proposed"] == 2
    assert json.loads(run("unettrain evaluate stack.npy stack.npy --dims 3 --json").stdout)["proposed"] == 1


def test_existing_output_is_kept(run: Run, store: Path, cells: Path) -> None:
    run(f"unettrain fit ds.zarr {SMALL}")
    before = tree(cells / "runs")
    assert "learning-rate: 0.001 there, 0.5 now" in run(f"unettrain fit ds.zarr {SMALL} --learning-rate 0.5", 4).stderr
    assert tree(cells / "runs") == before
    assert "--run is s3://bucket/run" in run("unettrain fit ds.zarr --run s3://bucket/run", 3).stderr
    assert not (cells / "s3:").exists()


def test_a_store_without_tiles_names_the_command(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    said = run("unettrain fit ds.zarr", 3).stderr
    assert said.count("error:") == 1
    assert "unetprep tiles --out ds.zarr" in said
    assert not (cells / "runs").exists()


def test_a_store_without_fields_names_the_command(run: Run, cells: Path) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    run("unetprep weights --out ds.zarr")
    run("unetprep tiles --out ds.zarr --depth 2 --tile 100 --margin 48")
    assert "unetprep deform --out ds.zarr" in run("unettrain fit ds.zarr", 3).stderr
    run(f"unettrain fit ds.zarr {SMALL} --no-deform")


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("unettrain fit no.zarr", 3, "no store at no.zarr"),
        ("unettrain fit img.tif", 3, "img.tif"),
        ("unettrain fit ds.zarr --learning-rate -1", 3, "learning-rate is -1.0\n  allowed: above 0"),
        ("unettrain predict no img.tif --out p.tif", 3, "no checkpoint at no"),
        ("unettrain predict img.tif img.tif --out p.tif", 3, "img.tif is no checkpoint"),
        ("unettrain predict ds.zarr img.tif --out p.tif", 3, "ds.zarr holds no network"),
        ("unettrain predict no img.tif --out p.jpg", 3, "a name that ends in .tif, .tiff, .png, .npy, .zarr"),
        ("unettrain evaluate no.tif labels.tif", 3, "no.tif is not there"),
        ("unettrain evaluate img.tif no.tif", 3, "no.tif is not there"),
        ("unettrain evaluate half.tif labels.tif", 3, "half.tif and labels.tif differ in size: (1, 70, 110) and"),
        ("unettrain evaluate labels.tif half.tif", 3, "labels.tif and half.tif differ in size: (1, 140, 110) and"),
        ("unettrain report no", 3, "no"),
        ("unettrain evaluate img.tif", 2, "Missing argument 'LABELS'"),
    ],
)
def test_misuse_is_explained(run: Run, cells: Path, line: str, code: int, message: str) -> None:
    run("unetprep import --image img.tif --labels labels.tif --out ds.zarr")
    tifffile.imwrite(cells / "half.tif", np.zeros((70, 110), np.float32))
    result = run(line, code)
    assert message in result.stderr
    assert result.stdout == ""


def test_a_misnamed_device_is_explained(run: Run, store: Path) -> None:
    assert "device is 'gpu'" in run(f"unettrain fit ds.zarr {SMALL} --device gpu", 3).stderr
    if not torch.cuda.is_available():
        assert "torch sees no device 'cuda'" in run(f"unettrain fit ds.zarr {SMALL} --device cuda", 3).stderr


@pytest.mark.parametrize(("rule", "same"), [("dtype", False), ("minmax", True)])
def test_the_rule_of_the_import_holds_for_new_images(run: Run, cells: Path, rule: str, same: bool) -> None:
    """Under minmax an image of half the brightness is the same to the network, under dtype it is darker."""
    image = tifffile.imread(cells / "img.tif").astype(np.uint16) * 200
    tifffile.imwrite(cells / "img.tif", image)
    tifffile.imwrite(cells / "darker.tif", image // 2)
    run(f"unetprep import --image img.tif --labels labels.tif --out ds.zarr --intensity {rule}")
    run("unetprep weights --out ds.zarr")
    run("unetprep tiles --out ds.zarr --depth 2 --tile 100 --margin 48")
    run(f"unettrain fit ds.zarr {SMALL} --no-deform")
    for name in ("img", "darker"):
        run(f"unettrain predict runs/ds {name}.tif --out {name}.npy --instances none --threads 1")
    assert np.allclose(np.load(cells / "img.npy"), np.load(cells / "darker.npy"), atol=1e-5) == same


def test_draws_say_what_a_run_draws_without_its_having_been_recorded(run: Run, store: Path) -> None:
    run(f"unettrain fit ds.zarr {SMALL} --batch-size 2 --noise 0.1 --seed 7")
    lines = [json.loads(line) for line in run("unettrain draws runs/ds --first 1 --steps 2").stdout.splitlines()]
    assert json.loads(run("unettrain draws runs/ds --first 1 --steps 2 --json").stdout)["draws"] == lines
    assert [line["step"] for line in lines] == [1, 1, 2, 2]
    stream = TileStream(store, batch_size=2, seed=7, augmentation=Augmentation(noise=0.1))
    again, batch = stream.replay(lines[:2]), stream.batch(1)
    for name in ("image", "target", "weights", "indices"):
        assert getattr(again, name).equal(getattr(batch, name))
    assert "there is no run at nowhere" in run("unettrain draws nowhere", 3).stderr
    run(f"unettrain draws runs/ds --first {2**80}", 2)
    run("unetprep deform --out ds.zarr --fields 20 --seed 1 --tile 188 --overwrite")
    refused = run("unettrain draws runs/ds", 3).stderr
    assert "ds.zarr no longer holds what runs/ds is trained on: fields/grids was replaced" in refused


def test_whole_shards_can_be_shuffled_and_a_seed_has_64_bits(run: Run, store: Path) -> None:
    run(f"unettrain fit ds.zarr {SMALL} --shuffle shards --seed {2**64 - 1}")
    assert "shuffle: shards there, tiles now" in run(f"unettrain fit ds.zarr {SMALL} --seed {2**64 - 1}", 4).stderr
    assert "seed is 18446744073709551616" in run(f"unettrain fit ds.zarr {SMALL} --seed {2**64}", 3).stderr


def test_virtual_random_tiles_augmented_by_the_device(run: Run, store: Path) -> None:
    run("unetprep tiles --out ds.zarr --depth 2 --tile 100 --margin 48 --random 30 --seed 3 --index-only --overwrite")
    assert json.loads(run("unetprep info ds.zarr --json").stdout)["tiles"]["shape"] == [32]  # 2 cover the test image
    run(f"unettrain fit ds.zarr {SMALL} --augment-on device --cache-mib 16 --batch-size 2")
    page = Path(json.loads(run("unettrain report runs/ds --json").stdout)["out"]).read_text()
    assert "unetprep tiles --out ds.zarr --tile 100 --margin 48 --depth 2 --random 30 --seed 3 --index-only" in page
    refused = run(f"unettrain fit ds.zarr {SMALL} --augment-on device --recompute-weights", 3).stderr
    assert "hold no instances" in refused
    assert "augment-on: device there, threads now" in run(f"unettrain fit ds.zarr {SMALL} --batch-size 2", 4).stderr
    assert "takes 31 tiles" in run(f"unettrain fit ds.zarr {SMALL} --batch-size 31", 3).stderr


def test_tiles_can_be_drawn_by_what_they_hold(run: Run, store: Path) -> None:
    run(f"unettrain fit ds.zarr {SMALL} --sampling foreground --steps 3")
    shutil.rmtree(store / "tiles/density")
    refused = run(f"unettrain fit ds.zarr {SMALL} --sampling foreground --run runs/other", 3).stderr
    assert "do not record how much foreground they hold" in refused
    assert "to do:   unetprep tiles --out ds.zarr --tile" in refused


def test_fit_computes_weights_anew_from_tiles_that_keep_their_cells(run: Run, store: Path) -> None:
    refused = run(f"unettrain fit ds.zarr {SMALL} --recompute-weights", 3).stderr
    assert "hold no instances" in refused
    run("unetprep weights --out ds.zarr --sigma 2 --overwrite")
    assert "to do:" in refused
    run(refused.partition("to do:")[2].strip())
    run(f"unettrain fit ds.zarr {SMALL} --recompute-weights")
    losses = [json.loads(line)["loss"] for line in Path("runs/ds/log.jsonl").read_text().splitlines()]
    assert np.isfinite(losses).all()
    assert "recompute-weights: True there, False now" in run(f"unettrain fit ds.zarr {SMALL}", 4).stderr
