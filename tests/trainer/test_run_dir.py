"""Run directories: one process at a time, files of one run only, nothing lost by an interrupt."""

import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.test_training_loop import assert_same_run, log_of, quick, stop_at
from unetprep.storage import lock
from unetprep.storage.local import LocalStorage
from unettrain import run_dir as rundir
from unettrain.checkpoint import load_checkpoint, save_checkpoint
from unettrain.errors import Conflict, Failure, InvalidInput
from unettrain.run_checkpoints import load_best
from unettrain.run_dir import FILES, RunDir
from unettrain.run_record import read_record
from unettrain.training_loop import Progress, fit

MakeStore = Callable[..., Path]


@pytest.fixture
def trained(tmp_path: Path, make_store: MakeStore) -> tuple[Path, Path]:
    """A store and the run of three steps on it."""
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(steps=3))
    return store, run


def hold(run: Path, pid: int, started: str) -> None:
    """Write the lock of a process of this machine."""
    held = lock.Holder("t", "here", lock._place(), pid, started, "unettrain fit other.zarr")
    LocalStorage(str(run)).put(lock.LOCK, lock._encoded(held))


def test_a_second_training_in_the_directory_is_refused_and_reading_is_not(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "TOUCH_S", 0.05)
    store, run, said = make_store(), tmp_path / "run", list[str]()

    def second() -> None:
        with pytest.raises(Conflict) as refused:
            fit(store, run, quick())
        said.append(str(refused.value))

    def on_progress(progress: Progress) -> None:
        if progress.step == 5:
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
            assert load_best(run).step == 3
            assert read_record(run)["fit"]["steps"] == 6

    assert fit(store, run, quick(), on_progress=on_progress).updates == 6
    assert f"(process {os.getpid()} on " in said[0]
    assert "another run works on" in said[0]
    assert "to do:   wait for it, or choose another directory" in said[0]
    fit(store, tmp_path / "alone", quick())
    assert_same_run(tmp_path / "alone", run)


def test_the_lock_and_the_temporary_files_of_a_killed_training_are_removed(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run = trained
    hold(run, os.getpid(), "a former life of this number")
    for name in (".partial-12", ".last.pt.4711", ".best.pt.4711"):
        (run / name).write_bytes(b"half")
    (run / ".report.html.12").write_bytes(b"of a report that is being written, without the lock")
    monkeypatch.setattr(lock, "DEAD_AFTER_S", 0.0)
    fit(store, run, quick())
    assert sorted(p.name for p in run.iterdir()) == [
        ".report.html.12", "best.pt", "config.json", "last.pt", "log.jsonl"
    ]  # fmt: skip


def test_a_training_whose_lock_was_taken_over_saves_nothing(make_store: MakeStore, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def on_progress(progress: Progress) -> None:
        if progress.step == 4:
            hold(run, 1, "1")

    with pytest.raises(Conflict, match=r"the lock of .*run was taken over by unettrain fit other\.zarr \(process 1 on"):
        fit(make_store(), run, quick(), on_progress=on_progress)
    assert load_checkpoint(run / "last.pt").step == 3


def test_an_interrupt_while_the_log_is_cut_keeps_the_log(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained[1]
    before = (run / "log.jsonl").read_text()
    for mended in (before + '{"step": 4, "lo', before + '[1]\n5\n{"step": "x"}\n', before.rstrip("\n")):
        (run / "log.jsonl").write_text(mended)

        def interrupted(source: Path, target: Path) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", interrupted)
            with pytest.raises(KeyboardInterrupt):
                RunDir(run).cut_log(3)
        assert (run / "log.jsonl").read_text() == mended
        RunDir(run).cut_log(3)
        assert (run / "log.jsonl").read_text() == before
    monkeypatch.setattr(os, "replace", interrupted)
    RunDir(run).cut_log(3)  # nothing to cut, nothing written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 8}, "seed: 8 in it, 0 in config.json"),
        ({"run": "f" * 64}, "other options or other data"),
        ({"network": None}, "base-channels: 4 in it, 2 in config.json"),
    ],
)
def test_a_checkpoint_of_another_run_is_not_gone_on_from(
    trained: tuple[Path, Path], change: dict[str, Any], message: str
) -> None:
    store, run = trained
    if "network" in change:
        fit(store, run.parent / "wide", quick(base_channels=4, steps=1))
        shutil.copy(run.parent / "wide" / "last.pt", run / "last.pt")
    else:
        save_checkpoint(run / "last.pt", replace(load_checkpoint(run / "last.pt"), **change))
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    with pytest.raises(Conflict, match=rf"last\.pt is of another run than .*\n  {message}[^$]*--overwrite"):
        fit(store, run, quick())
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before | {
        "config.json": (run / "config.json").read_bytes()
    }
    assert fit(store, run, quick(steps=1), overwrite=True).updates == 1


def test_a_checkpoint_without_a_fingerprint_is_gone_on_from(trained: tuple[Path, Path], tmp_path: Path) -> None:
    store, run = trained
    save_checkpoint(run / "last.pt", replace(load_checkpoint(run / "last.pt"), run="", best_iou=None))
    assert fit(store, run, quick()).updates == 3
    fit(store, tmp_path / "straight", quick())
    assert_same_run(tmp_path / "straight", run)


def test_the_best_network_of_another_run_is_neither_shown_nor_replaced(trained: tuple[Path, Path]) -> None:
    store, run = trained
    best = load_best(run)
    save_checkpoint(run / "best.pt", replace(best, run="f" * 64))
    with pytest.raises(Conflict, match=r"best\.pt is of another run than .*config\.json\n  to do:   give "):
        load_best(run)
    save_checkpoint(run / "best.pt", replace(best, step=9000))
    (run / "last.pt").unlink()
    with pytest.raises(Conflict, match=r"best\.pt without last\.pt: the training would start from the beginning"):
        fit(store, run, quick())
    assert load_checkpoint(run / "best.pt").step == 9000


def test_a_best_network_alone_cannot_be_gone_on_from(trained: tuple[Path, Path]) -> None:
    store, run = trained
    shutil.copy(run / "best.pt", run / "last.pt")
    with pytest.raises(InvalidInput, match=r"state of the optimizer adam[^$]*best\.pt holds a network alone"):
        fit(store, run, quick())


def test_overwriting_removes_the_checkpoints_first_and_leaves_no_mixture(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run = trained
    fit(store, run.parent / "other", quick(seed=1))
    unlink = Path.unlink
    for kill_at in range(len(FILES) + 1):
        removed = list[str]()

        def dying(self: Path, missing_ok: bool = False, removed: list[str] = removed, most: int = kill_at) -> None:
            if self.name in FILES:
                if len(removed) == most:
                    raise ZeroDivisionError
                removed.append(self.name)
            unlink(self, missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", dying)
            patch.setattr(rundir, "replacing", dying)
            with pytest.raises(ZeroDivisionError):
                fit(store, run, quick(seed=1), overwrite=True)
        assert removed == list(FILES[:kill_at])
        if "config.json" not in removed:
            assert read_record(run)["fit"]["seed"] == 0
            assert fit(store, run, quick(steps=3)).step == 3  # the old run still goes on, or begins anew
    assert fit(store, run, quick(seed=1), overwrite=True).updates == 6
    assert_same_run(run, run.parent / "other")


@pytest.mark.parametrize("content", ['{"name": "mine"}', "// mine", "[1]"])
def test_a_configuration_of_other_software_is_neither_removed_nor_used(
    make_store: MakeStore, tmp_path: Path, content: str
) -> None:
    store, run = make_store(), tmp_path / "project"
    run.mkdir()
    (run / "config.json").write_text(content)
    (run / "report.html").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(Conflict, match=r"config\.json (is not|was not written|cannot be read)"):
            fit(store, run, quick(), overwrite=overwrite)
    assert sorted(p.name for p in run.iterdir()) == ["config.json", "report.html"]
    assert (run / "config.json").read_text() == content


@pytest.mark.parametrize("group", ["data", "network", "fit", "store"])
@pytest.mark.parametrize("value", [None, 7, [1]])
def test_a_record_of_other_types_is_one_clear_error(trained: tuple[Path, Path], group: str, value: object) -> None:
    store, run = trained
    record = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(record | {group: value}))
    with pytest.raises(Conflict, match="not the record of a run: it "):
        fit(store, run, quick())
    with pytest.raises(InvalidInput, match="not the record of a run: it "):
        read_record(run)


def test_a_url_is_no_run_directory(make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="--run is s3://bucket/run"):
        fit(make_store(), "s3://bucket/run", quick())
    assert [p.name for p in tmp_path.iterdir()] == ["ds.zarr"]


# -- what a training came to -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_validation", [True, False])
def test_a_dead_network_is_said_and_stays_said(
    make_store: MakeStore,
    cells: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_validation: bool,
) -> None:
    store, run = make_store(None if with_validation else [cells(40, 0)]), tmp_path / "run"
    healthy = fit(store, tmp_path / "healthy", quick(optimizer="sgd"))
    assert not any("same output" in warning for warning in healthy.warnings)
    step = torch.optim.SGD.step

    def dying(self: torch.optim.SGD, closure: None = None) -> None:
        step(self, closure)
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.fill_(-1.0)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", dying)
        result = fit(store, run, quick(optimizer="sgd"))
    assert "the same output for every pixel after step 6" in result.warnings[0]
    assert len(result.warnings) == 1 + with_validation
    again = fit(store, run, quick(optimizer="sgd"))
    assert (again.updates, again.warnings) == (0, result.warnings)


def test_weights_that_are_not_finite_are_never_saved(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a validation no loss tells of the last update."""
    step, calls = torch.optim.SGD.step, list[int]()

    def overflowing(self: torch.optim.SGD, closure: None = None) -> None:
        step(self, closure)
        calls.append(1)
        if len(calls) == 3:
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(float("nan"))

    monkeypatch.setattr(torch.optim.SGD, "step", overflowing)
    store = make_store([cells(40, 0)])
    with pytest.raises(Failure, match=r"after step 3 weights are not finite\n  to do:   a lower learning-rate"):
        fit(store, tmp_path / "run", quick(optimizer="sgd"))
    assert not (tmp_path / "run" / "best.pt").exists()
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        fit(store, tmp_path / "stopped", quick(validate_every=6, optimizer="sgd"), on_progress=stop_at(3))
    assert not (tmp_path / "stopped" / "last.pt").exists()


def test_validation_can_be_required(make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="has no validation tiles"):
        fit(make_store([cells(40, 0)]), tmp_path / "run", quick(), require_validation=True)
    assert not (tmp_path / "run").exists()


def test_the_log_and_the_result_agree(trained: tuple[Path, Path]) -> None:
    store, run = trained
    result = fit(store, run, quick())
    best = min((r for r in log_of(run) if "val_loss" in r), key=lambda r: r["val_loss"])
    assert (result.best_loss, result.val_iou) == (best["val_loss"], best["val_iou"])
    assert load_best(run).best_iou == best["val_iou"]


@pytest.mark.parametrize("name", ["last.pt", "best.pt", "log.jsonl"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_other_software_are_neither_changed_nor_removed(
    make_store: MakeStore, tmp_path: Path, name: str, overwrite: bool
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    contents = {name: b"mine", ".config.json": b"{}", ".last.pt.old": b"mine", "report.html": b"mine"}
    for other, content in contents.items():
        (run / other).write_bytes(content)
    with pytest.raises(Conflict, match=re.escape(name)):
        fit(make_store(), run, quick(), overwrite=overwrite)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == contents


def test_files_that_resemble_old_temporary_files_stay(trained: tuple[Path, Path]) -> None:
    store, run = trained
    for name in (".config.json", ".last.pt.backup"):
        (run / name).write_bytes(b"mine")
    fit(store, run, quick())
    assert (run / ".config.json").exists()
    assert (run / ".last.pt.backup").exists()


@pytest.mark.parametrize("place", [".", "run", "images", "images/../tiles/run"])
def test_a_run_in_a_store_is_refused(make_store: MakeStore, tmp_path: Path, place: str) -> None:
    store = make_store()
    (tmp_path / "link").symlink_to(store)
    before = sorted(store.rglob("*"))
    for root in (store, tmp_path / "link"):
        with pytest.raises(InvalidInput, match="the Zarr hierarchy"):
            fit(store, root / place, quick())
    assert sorted(store.rglob("*")) == before
