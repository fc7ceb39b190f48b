"""A source that changes while it is imported is refused, whatever reads it; what is written stays consistent."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pipeline.conftest import LOCAL, save, tree
from tests.synthetic import cell_image, cell_labels
from unetprep.engine import importing
from unetprep.engine.batches import ShardBatch, run_batch
from unetprep.engine.importing import import_images
from unetprep.engine.pending import plan_job, plan_jobs
from unetprep.engine.run import Scheduler, run_stage
from unetprep.errors import Conflict, Failure
from unetprep.format import layout
from unetprep.params import ImportParams, WeightsParams
from unetprep.relabeling import comparison
from unetprep.relabeling.relabeler import relabel
from unetprep.stages import STAGES
from unetprep.stages import importing as importing_stage
from unetprep.stages.base import Job
from unetprep.stages.import_jobs import ImportJob
from unetprep.stages.importing import plan_import
from unetprep.store import Store

LABELS = cell_labels((70, 60), 10)
IMAGE = cell_image(LABELS)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks a shard and several shards an image."""
    monkeypatch.setitem(layout.PIXEL_CHUNK, 2, (1, 16, 16))
    monkeypatch.setitem(layout.PIXEL_SHARD, 2, (1, 32, 32))


def change_after_first_reading(monkeypatch: pytest.MonkeyPatch, module: Any, change: Callable[[], None]) -> None:
    """Change a file once all is planned, before anything is read for the second time."""

    def then_change(store: Store, jobs: Sequence[Job], overwrite: bool = False) -> Any:
        plans = plan_jobs(store, jobs, overwrite)
        change()
        return plans

    monkeypatch.setattr(module, "plan_jobs", then_change)


@pytest.mark.parametrize("which", ["x.npy", "x.tif", "y.npy", "y.tif", "components"])
def test_a_changed_pixel_is_refused_and_the_array_stays_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    ending = "tif" if which.endswith("tif") else "npy"
    image, labels = save(tmp_path / f"x.{ending}", IMAGE), save(tmp_path / f"y.{ending}", LABELS.astype(np.int32))
    is_image, url = which[0] == "x", str(tmp_path / "ds.zarr")
    params = ImportParams(instances="components" if which == "components" else "ids")
    array = "images/x/image" if is_image else "images/x/labels/instances/instances"

    def change() -> None:
        changed = (IMAGE if is_image else LABELS.astype(np.int32)).copy()
        changed[-1, -1] += 1  # in the last shard
        save(Path(image if is_image else labels), changed)

    with monkeypatch.context() as patch:
        change_after_first_reading(patch, importing, change)
        with pytest.raises(
            Failure, match=rf"{'x' if is_image else 'y'}\.{ending} has changed since.*\n.*{array}|{array}"
        ):
            import_images(url, [image], [labels], params, LOCAL)
    store = Store.open(url)
    assert not store.record(array)["complete"]
    assert not store.written(array).all()
    with pytest.raises(Conflict, match="from other pixels"):
        import_images(url, [image], [labels], params, LOCAL)
    import_images(url, [image], [labels], params, LOCAL, overwrite=True)
    import_images(str(tmp_path / "anew.zarr"), [image], [labels], params, LOCAL)
    assert tree(url) == tree(tmp_path / "anew.zarr")


def test_a_file_that_is_put_back_is_finished_by_repeating_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, labels = save(tmp_path / "x.npy", IMAGE), save(tmp_path / "y.npy", LABELS)
    url = str(tmp_path / "ds.zarr")
    with monkeypatch.context() as patch:
        change_after_first_reading(patch, importing, lambda: np.save(image, IMAGE[::-1]))
        with pytest.raises(Failure, match="has changed since"):
            import_images(url, [image], [labels], ImportParams(), LOCAL)
    save(Path(image), IMAGE)
    import_images(url, [image], [labels], ImportParams(), LOCAL)
    np.testing.assert_array_equal(Store.open(url).array("images/x/image")[0, 0], IMAGE)


@pytest.mark.parametrize("instances", ["ids", "components"])
def test_a_task_that_travels_to_a_worker_checks_its_own_shards(tmp_path: Path, instances: str) -> None:
    labels = save(tmp_path / "y.npy", LABELS)
    store = Store.open_or_create(str(tmp_path / "ds.zarr"))
    (job,) = plan_import([], [labels], ImportParams(instances=instances)).jobs
    store.create(plan_job(store, job).create[0])
    batch = pickle.loads(pickle.dumps(ShardBatch(job.of([(0, 1, 1)]), ((0, 1, 1),))))
    assert len(batch.job.digests.numbers) == 1
    assert run_batch(store, [batch]).num_shards == 1
    save(tmp_path / "y.npy", np.roll(LABELS, 1, 0))
    with pytest.raises(Failure, match=r"y\.npy has changed since"):
        run_batch(store, [batch])


@pytest.mark.parametrize("block", [None, (1, 1, 16, 16), (1, 1, 32, 16)])
def test_any_blocks_give_the_digest_of_the_first_reading(tmp_path: Path, block: tuple[int, ...] | None) -> None:
    image, labels = save(tmp_path / "x.npy", IMAGE), save(tmp_path / "y.npy", LABELS)
    store = Store.open_or_create(str(tmp_path / "ds.zarr"))
    job = next(j for j in plan_import([image], [labels], ImportParams()).jobs if j.outputs[0].path.endswith("image"))
    assert isinstance(job, ImportJob)
    store.create(job.outputs[0])
    for index in np.ndindex(*job.num_shards):
        type(job)(job.outputs, job.source, job.origin, digests=job.digests, block=block).run(store, index)
    np.testing.assert_array_equal(store.array("images/x/image")[0, 0], IMAGE)


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """Files of sixteen images and of their labels, one stack of eight shards; no pixels are kept in memory."""
    monkeypatch.setattr(importing, "KEPT_BYTES", 0)
    monkeypatch.setattr(layout, "STACK_SHARD_PX", 2 * LABELS.size)
    for folder, pixels in (("i", IMAGE), ("m", LABELS)):
        (tmp_path / folder).mkdir()
        for k in range(16):
            save(tmp_path / folder / f"{k:02}.npy", np.roll(pixels, k, 0))
    images, labels = (sorted(map(str, (tmp_path / folder).iterdir())) for folder in ("i", "m"))
    return images, labels


@pytest.mark.parametrize("instances", ["ids", "components"])
@pytest.mark.parametrize("folder", ["i", "m"])
def test_an_image_of_a_stack_that_changes_is_refused_and_the_stack_stays_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: tuple[list[str], list[str]], folder: str, instances: str
) -> None:
    url, params = str(tmp_path / "ds.zarr"), ImportParams(instances=instances)
    array = "stacks/0/image" if folder == "i" else "stacks/0/labels/instances/instances"
    path = tmp_path / folder / "11.npy"
    before = np.load(path)

    def change() -> None:
        changed = before.copy()
        changed[-1, -1] += 1
        np.save(path, changed)

    with monkeypatch.context() as patch:
        change_after_first_reading(patch, importing, change)
        with pytest.raises(Failure, match=rf"{folder}/11\.npy has changed since.*; {array} stays unfinished"):
            import_images(url, *many, params, LOCAL)
    store = Store.open(url)
    assert not store.record(array)["complete"]
    assert not store.written(array)[..., 5, 0, 0].any()
    with pytest.raises(Conflict, match=rf"{folder}/11\.npy is in .*, as image '11', with other pixels"):
        import_images(url, *many, params, LOCAL)
    np.save(path, before)
    import_images(url, *many, params, LOCAL)
    import_images(str(tmp_path / "anew.zarr"), *many, params, LOCAL)
    assert tree(url) == tree(tmp_path / "anew.zarr")


def test_a_task_of_a_stack_travels_with_the_files_of_its_own_shards(
    tmp_path: Path, many: tuple[list[str], list[str]]
) -> None:
    store = Store.open_or_create(str(tmp_path / "ds.zarr"))
    job = next(j for j in plan_import(*many, ImportParams()).jobs if j.outputs[0].path.endswith("image"))
    store.create(plan_job(store, job).create[0])
    index = (0, 3, 0, 0)
    batch = pickle.loads(pickle.dumps(ShardBatch(job.of([index]), (index,))))
    assert sorted(batch.job.sources) == [6, 7]
    assert run_batch(store, [batch]).num_shards == 1
    assert store.written("stacks/0/image").sum() == 1
    save(tmp_path / "i" / "07.npy", IMAGE)
    with pytest.raises(Failure, match=r"07\.npy has changed since"):
        run_batch(store, [batch])


def test_labels_that_change_while_they_are_compared_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, url = save(tmp_path / "y.npy", LABELS), str(tmp_path / "ds.zarr")
    import_images(url, [], [labels], ImportParams(), LOCAL)
    run_stage(Store.open(url), STAGES["weights"], WeightsParams(class_weights=(1, 1)), LOCAL)
    edited = LABELS.copy()
    edited[:5, :5] = 3
    save(tmp_path / "y.npy", edited)

    def then_undo(*args: Any) -> Any:
        planned = importing_stage.plan_labels(*args)
        save(tmp_path / "y.npy", LABELS)
        return planned

    before = tree(url)
    monkeypatch.setattr(comparison, "plan_labels", then_undo)
    with pytest.raises(Failure, match=r"y\.npy has changed since"):
        relabel(url, [labels], Scheduler(workers=1))
    assert tree(url) == before
