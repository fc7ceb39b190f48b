import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.cli.conftest import Run
from tests.pipeline.sources.layouts.test_coco import annotation, box, document
from tests.pipeline.sources.layouts.writing import image, put, put_json
from tests.synthetic import cell_image, cell_labels
from unetcli.prep import main as prep
from unetprep.format.layout import labels_path
from unetprep.store import Store


def write_pairs(folder: Path, names: str = "abcdefgh") -> None:
    for k, name in enumerate(names):
        labels = cell_labels((60, 50), 6, seed=k)
        put(folder / "images" / f"{name}.tif", cell_image(labels))
        put(folder / "masks" / f"{name}_cp_masks.tif", labels)


def run_words(words: list[str]) -> str:
    done = CliRunner().invoke(prep.main, words)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_that_scan_prints_imports_the_data_set(run: Run, tmp_path: Path) -> None:
    write_pairs(tmp_path / "my data")
    before = sorted(tmp_path.rglob("*"))
    said = run_words(["scan", "my data"])
    assert sorted(tmp_path.rglob("*")) == before
    command = said.strip().rpartition("next: ")[2]
    done = run_words(shlex.split(command)[1:])
    assert "8 images of 60 x 50 uint8" in done
    store = Store.open("my data.zarr")
    assert store.names == list("abcdefgh")
    assert sorted(store.image_record(name)["split"] for name in store.names) == ["test", "test", *["train"] * 5, "val"]


def test_scan_as_json(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "d" / "a.png")
    put_json(tmp_path / "d" / "x.json", document(annotation(0, [box(2, 1, 6, 5)])))
    found = json.loads(run("unetprep scan d --json").output)
    assert (found["layout"], found["summary"]["num_images"]) == ("coco", 1)
    assert found["summary"]["overlaps"]["objects"] == 1
    assert found["command"] == "unetprep import --data d --layout coco --out d.zarr"


def test_objects_and_splits_of_coco_reach_the_store_and_a_rerun_does_nothing(run: Run, tmp_path: Path) -> None:
    for split in ("train", "val"):
        put(tmp_path / "d" / split / "a.png", image())
        boxes = annotation(0, [box(2, 1, 6, 5)]), annotation(0, [box(5, 4, 9, 8)])
        put_json(tmp_path / "d" / f"{split}.json", document(*boxes))
    said = run("unetprep import --data d --out ds.zarr").output
    assert "2 images of 12 x 14 uint8, 4 objects" in said
    assert "2 pixels belong to several objects, and are given to the later ones" in said
    store = Store.open("ds.zarr")
    assert {name: store.image_record(name)["split"] for name in store.names} == {"train-a": "train", "val-a": "val"}
    expected = np.zeros((12, 14), np.int32)
    expected[1:5, 2:6], expected[4:8, 5:9] = 1, 2
    np.testing.assert_array_equal(store.read_all(labels_path("images/train-a", "instances"))[0], expected)
    assert "nothing to do" in run("unetprep import --data d --out ds.zarr --json").output
    run("unetprep weights --out ds.zarr")


def test_worker_processes_draw_the_same_labels(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "d" / "a.png")
    put_json(tmp_path / "d" / "x.json", document(annotation(0, [box(2, 1, 6, 5)])))
    run("unetprep import --data d --out one.zarr")
    run("unetprep import --data d --out two.zarr --scheduler processes --workers 1")
    path = labels_path("images/a", "instances")
    np.testing.assert_array_equal(Store.open("one.zarr").read_all(path), Store.open("two.zarr").read_all(path))


def test_numbers_of_drawn_objects_are_not_questioned(run: Run, tmp_path: Path) -> None:
    """One object in two pieces is no mask, and objects within each other are no interpolation."""
    nested = [[box(k, k, 12 - k, 12 - k)] for k in range(5)]
    for name, objects in (("one", [[box(0, 0, 3, 3), box(8, 8, 11, 11)]]), ("nested", nested)):
        put(tmp_path / name / "a.png", image())
        put_json(tmp_path / name / "x.json", document(*(annotation(0, parts) for parts in objects)))
        run(f"unetprep import --data {name} --out {name}.zarr")
    mask = np.zeros((12, 14), np.uint8)
    mask[:3, :3] = mask[8:, 8:] = 255
    put(tmp_path / "d" / "b" / "images" / "b.png")
    put(tmp_path / "d" / "b" / "masks" / "0.png", mask)
    run("unetprep import --data d --out d.zarr")


def test_classes_of_objects_are_stored(run: Run, tmp_path: Path) -> None:
    of = document(annotation(0, [box(1, 1, 4, 4)]), annotation(0, [box(6, 6, 9, 9)], category_id=2))
    of["categories"].append({"id": 2, "name": "cell"})
    put(tmp_path / "d" / "a.png", image())
    put_json(tmp_path / "d" / "x.json", of)
    said = run("unetprep import --data d --out ds.zarr --class-table annotations").output
    assert "classes: cell 1, nucleus 2" in said
    expected = np.zeros((12, 14), np.uint8)
    expected[1:4, 1:4], expected[6:9, 6:9] = 2, 1
    np.testing.assert_array_equal(Store.open("ds.zarr").read_all(labels_path("images/a", "classes"))[0], expected)
    of["annotations"][1]["category_id"] = 3
    put_json(tmp_path / "d" / "x.json", of)
    failed = run("unetprep import --data d --out two.zarr --class-table annotations", code=3).output
    assert "d/x.json: annotation 1 has no class" in failed
    write_pairs(tmp_path / "e", "ab")
    assert (
        "has no classes of objects"
        in run("unetprep import --data e --out two.zarr --class-table annotations", code=3).output
    )


def test_classes_are_not_imported_as_cells(run: Run, tmp_path: Path) -> None:
    put_json(tmp_path / "d" / "dataset.json", {"channel_names": {"0": "x"}, "labels": {"background": 0, "cell": 1}})
    labels = (cell_labels((60, 50), 6) > 0).astype(np.uint8)
    put(tmp_path / "d" / "imagesTr" / "a_0000.tif", cell_image(labels.astype(np.int32)))
    put(tmp_path / "d" / "labelsTr" / "a.tif", labels)
    assert "are classes: cell 1" in run("unetprep import --data d --out ds.zarr", code=3).output
    assert "are classes: cell 1" in run("unetprep plan import --data d --out ds.zarr", code=3).output
    run("unetprep import --data d --out ds.zarr --instances components")


def test_options_for_names_go_with_image_and_labels_too(run: Run, tmp_path: Path) -> None:
    for k in range(2):
        labels = cell_labels((60, 50), 6, seed=k)
        put(tmp_path / "i" / f"s{k}.tif", cell_image(labels))
        put(tmp_path / "l" / f"s{k}_nuc.tif", labels)
    (tmp_path / "i" / "notes.txt").write_text("")
    failed = run("unetprep import --image i --labels l --out ds.zarr", code=3).output
    assert "add --label-pattern '{name}_nuc'" in failed
    said = run("unetprep import --image i --labels l --out ds.zarr --label-pattern {name}_nuc").output
    assert "2 images of 60 x 50 uint8; 1 left out: 1 .txt" in said


@pytest.mark.parametrize("more", ["", "--image i", "--data d --image i --labels l"])
def test_either_files_or_a_data_set(run: Run, tmp_path: Path, more: str) -> None:
    (tmp_path / "d").mkdir()
    run(f"unetprep import {more} --out ds.zarr", code=3 if "--data" in more else 2)


def test_a_recipe_names_a_data_set(run: Run, tmp_path: Path) -> None:
    write_pairs(tmp_path / "d", "ab")
    (tmp_path / "r.toml").write_text(
        'out = "ds.zarr"\n[import]\ndata = "d"\nlayout = "pairs"\nlabel-pattern = "{name}_cp_masks"\n'
    )
    run("unetprep plan run r.toml")
    run("unetprep run r.toml")
    assert Store.open("ds.zarr").names == ["a", "b"]
    (tmp_path / "r.toml").write_text('out = "ds.zarr"\n[import]\ndata = "d"\nlayout = "voc"\n')
    assert "layout is 'voc'" in run("unetprep run r.toml", code=3).output


def test_a_store_in_the_folder_of_its_data(run: Run, tmp_path: Path) -> None:
    write_pairs(tmp_path, "ab")
    run("unetprep import --data . --out ds.zarr")
    assert "nothing to do" in run("unetprep import --data . --out ds.zarr --json").output
