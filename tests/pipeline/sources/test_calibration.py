"""Measured pixel sizes travel from the import into the metadata and the weights; no size is made up."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from tests.pipeline.conftest import LOCAL, save, tree
from tests.synthetic import cell_image, cell_labels
from unetprep.contents import info
from unetprep.engine.importing import import_images
from unetprep.engine.run import run_stage
from unetprep.errors import Conflict, InvalidInput
from unetprep.format.metadata import encode
from unetprep.params import ImportParams, VerifyParams, WeightsParams
from unetprep.relabeling.relabeler import relabel
from unetprep.stages import STAGES
from unetprep.stages.weights import relative_sizes
from unetprep.store import Store
from unetprep.verification import verify

VOLUME = np.stack([cell_labels((40, 36), 7, seed) for seed in (0, 0, 1)]).astype(np.int32)
MICROMETERS: dict[str, Any] = {"dims": 3, "spacing": (0.235, 0.15, 0.15), "unit": "micrometer"}


def imported(folder: Path, labels: np.ndarray = VOLUME, overwrite: bool = False, **options: Any) -> Store:
    folder.mkdir(exist_ok=True)
    files = save(folder / "x.npy", cell_image(VOLUME.astype(np.uint16))), save(folder / "y.npy", labels)
    url = str(folder / "ds.zarr")
    import_images(url, [files[0]], [files[1]], ImportParams(**options), LOCAL, overwrite=overwrite)
    return Store.open(url)


def weigh(store: Store, **options: Any) -> list[float]:
    run_stage(store, STAGES["weights"], WeightsParams(class_weights=(1, 1), **options), LOCAL)
    found: list[float] = Store.open(store.url).record("images/x/weights")["parameters"]["spacing"]
    return found


def scales(store: Store) -> dict[str, tuple[list[float], list[str | None]]]:
    """The scale and the units of each OME-Zarr image of the store."""
    found = {}
    for path in ("", "/labels/instances", "/labels/target"):
        attributes: Any = zarr.open_group(store.url, path=f"images/x{path}", mode="r").attrs
        multiscale = attributes["ome"]["multiscales"][0]
        transform = multiscale["datasets"][0]["coordinateTransformations"][0]
        found[path] = (transform["scale"], [axis.get("unit") for axis in multiscale["axes"]])
    return found


def test_sizes_are_stored_and_written_to_all_ome_metadata(tmp_path: Path) -> None:
    store = imported(tmp_path, **MICROMETERS)
    weigh(store)
    record = store.record("images/x")
    assert (record["spacing"], record["unit"]) == ([0.235, 0.15, 0.15], "micrometer")
    sizes, units = [0.235, 0.15, 0.15], ["micrometer"] * 3
    assert scales(store) == {
        "": ([1.0, *sizes], [None, *units]),
        "/labels/instances": (sizes, units),
        "/labels/target": (sizes, units),
    }
    assert info(store.url).images[0].record["spacing"] == sizes


def test_without_sizes_nothing_is_claimed_whatever_the_weights_were_told(tmp_path: Path) -> None:
    store = imported(tmp_path, dims=3)
    assert weigh(store, spacing=(0.235, 0.15, 0.15)) == [0.235, 0.15, 0.15]
    assert not {"spacing", "unit"} & set(store.record("images/x"))
    assert scales(store) == {
        "": ([1.0] * 4, [None] * 4),
        "/labels/instances": ([1.0] * 3, [None] * 3),
        "/labels/target": ([1.0] * 3, [None] * 3),
    }


def test_slices_have_no_size_along_z_unless_it_is_given(tmp_path: Path) -> None:
    store = imported(tmp_path, spacing=(0.3, 0.1), unit="nanometer")
    assert weigh(store) == [3.0, 1.0]
    assert store.record("images/x")["spacing"] == [None, 0.3, 0.1]
    assert scales(store)["/labels/target"] == ([1.0, 0.3, 0.1], [None, "nanometer", "nanometer"])
    other = imported(tmp_path / "other", spacing=(2, 0.1, 0.1))
    assert weigh(other) == [1.0, 1.0]
    assert scales(other)[""] == ([1.0, 2.0, 0.1, 0.1], [None] * 4)


def test_weights_measure_with_the_sizes_of_the_import_in_pixels_along_x(tmp_path: Path) -> None:
    known, unknown = imported(tmp_path / "known", **MICROMETERS), imported(tmp_path / "unknown", dims=3)
    ratio = float(f"{0.235 / 0.15:.12g}")
    assert weigh(known) == [ratio, 1.0, 1.0]
    weigh(unknown, spacing=(ratio, 1, 1))
    ours, theirs = (np.asarray(store.array("images/x/weights")[:]) for store in (known, unknown))
    np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(Conflict, match="spacing is"):
        weigh(known, spacing=(4, 1, 1))
    assert relative_sizes([0.3, 0.1, 0.1], 3) == (3.0, 1.0, 1.0)
    assert relative_sizes(None, 2) == (1.0, 1.0)


def test_other_sizes_are_a_conflict_and_replaced_altogether_on_demand(tmp_path: Path) -> None:
    store = imported(tmp_path, **MICROMETERS)
    before = tree(store.url)
    for other, message in (
        (
            {**MICROMETERS, "spacing": (0.5, 0.15, 0.15)},
            r"spacing is \[0.235, 0.15, 0.15\] there and \[0.5, 0.15, 0.15\]",
        ),
        ({**MICROMETERS, "unit": "nanometer"}, "unit is micrometer there and nanometer now"),
        ({"dims": 3}, r"spacing is \[0.235, 0.15, 0.15\] there and is not given now"),
    ):
        with pytest.raises(Conflict, match=message):
            imported(tmp_path, **other)
    assert tree(store.url) == before
    imported(tmp_path, dims=3, overwrite=True)
    imported(tmp_path / "anew", dims=3)
    assert tree(store.url) == tree(tmp_path / "anew" / "ds.zarr")


def test_weights_are_outdated_by_other_sizes(tmp_path: Path) -> None:
    store = imported(tmp_path, **MICROMETERS)
    weigh(store)
    imported(tmp_path, overwrite=True, **{**MICROMETERS, "spacing": (0.5, 0.15, 0.15)})
    assert Store.open(store.url).state("images/x/weights") == "stale"


def test_relabel_and_verify_know_the_sizes(tmp_path: Path) -> None:
    edited = VOLUME.copy()
    edited[:, :6, :6] = 1
    for name, labels in (("old", VOLUME), ("new", edited)):
        for size, options in (("3d", MICROMETERS), ("2d", {"spacing": (0.3, 0.1)})):
            weigh(imported(tmp_path / f"{name}{size}", labels, **options))
    for size in ("3d", "2d"):
        old, new = str(tmp_path / f"old{size}" / "ds.zarr"), tmp_path / f"new{size}"
        relabel(old, [str(new / "y.npy")], LOCAL, image="x")
        assert tree(old) == tree(new / "ds.zarr")
        assert verify(old, VerifyParams(all=True), workers=1).faults == ()


def test_verify_names_a_group_whose_sizes_are_not_those_of_the_import(tmp_path: Path) -> None:
    store = imported(tmp_path, **MICROMETERS)
    document = Path(store.url, "images/x/zarr.json")
    found = store._document("images/x")
    assert found is not None
    found["attributes"]["unetprep"]["spacing"] = [1.0, 0.15, 0.15]
    document.write_bytes(encode(found))
    (fault,) = verify(store.url, VerifyParams(samples=0), workers=1).faults
    assert "it says that spacing is [1.0, 0.15, 0.15], and images/x/image that it is [0.235" in fault.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": 3, "spacing": (1, 1)}, "spacing is 1,1 with dims 3"),
        ({"spacing": (0, 1)}, "spacing is 0,1"),
        ({"spacing": "nan,1"}, "spacing is 'nan,1'"),
        ({"spacing": (1,)}, "spacing is 1"),
        ({"spacing": "inf,1"}, "spacing is 'inf,1'"),
        ({"spacing": (1, 1), "unit": "um"}, "unit is 'um'[^$]*micrometer"),
        ({"unit": "micrometer"}, "no spacing is given"),
    ],
)
def test_unusable_sizes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ImportParams(**options)
