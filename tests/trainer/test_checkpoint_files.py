"""Checkpoints of a run: how many are kept, which one is continued from, and what a failed save leaves."""

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch

from tests.trainer.test_training_loop import assert_same_run, log_of, quick, stop_at
from unettrain import checkpoint as checkpoints
from unettrain.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from unettrain.checkpoint_files import CheckpointFiles, SaveSchedule
from unettrain.config import UNetConfig
from unettrain.errors import Conflict, InvalidInput
from unettrain.model import UNet
from unettrain.training_loop import fit

MakeStore = Callable[..., Path]
NETWORK = UNetConfig(base_channels=1, depth=1)


def state(step: int) -> Checkpoint:
    return Checkpoint(NETWORK, UNet(NETWORK, 0).state_dict(), 60, step, 0)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def steps(folder: Path) -> dict[str, int]:
    return {name: load_checkpoint(folder / name).step for name in files(folder)}


def newest(folder: Path, keep: int = 3) -> Checkpoint | None:
    return CheckpointFiles(folder, keep).load_newest(lambda path, found: None)


def early(number: int) -> str:
    return f"checkpoints/step-{number:08d}.pt"


def flip(path: Path) -> None:
    """Flip a bit of the largest tensor; between the entries of the archive it would change nothing."""
    with ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        tensor = archive.read(largest)
    content = bytearray(path.read_bytes())
    content[content.index(tensor) + len(tensor) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut short": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a bit flipped": flip,
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a text": lambda path: path.write_text("mine"),
    "another object": lambda path: torch.save([1, 2], path),
    "another type": lambda path: torch.save({"format": "unettrain checkpoint", "format_version": 1, "step": "x"}, path),
}


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_k_states_are_kept(tmp_path: Path, keep: int) -> None:
    saved = CheckpointFiles(tmp_path, keep)
    for step in (10, 20, 20, 30, 40):
        saved.save(state(step))
    kept = {early(step): step for step in (20, 30)[3 - keep :]}
    assert steps(tmp_path) == {"last.pt": 40} | kept
    again = CheckpointFiles(tmp_path, 2)  # a process that continues, and keeps fewer
    assert again.load_newest(lambda path, found: None) is not None
    again.save(state(50))
    assert steps(tmp_path) == {"last.pt": 50, early(40): 40}


def test_states_after_the_one_that_was_continued_from_are_removed(tmp_path: Path) -> None:
    saved = CheckpointFiles(tmp_path, 3)
    for step in (100_000_000, 200_000_000, 300_000_000):
        saved.save(state(step))
    again = CheckpointFiles(tmp_path, 3)
    for name in ("last.pt", early(200_000_000)):
        flip(tmp_path / name)
    found = again.load_newest(lambda path, found: None)
    assert found is not None
    assert found.step == 100_000_000
    again.save(state(100_000_001))
    again.save(state(100_000_002))
    assert steps(tmp_path) == {"last.pt": 100_000_002, early(100_000_001): 100_000_001, early(100_000_000): 100_000_000}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_named_and_the_one_before_is_taken(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    saved = CheckpointFiles(tmp_path, 3)
    for step in (10, 20, 30):
        saved.save(state(step))
    for name, left in (("last.pt", 20), (early(20), 10)):
        caplog.clear()
        DAMAGES[damage](tmp_path / name)
        found = newest(tmp_path)
        assert found is not None
        assert found.step == left
        said = caplog.messages[-1]
        assert said.startswith(f"warning: {tmp_path / name} ")
        assert said.endswith(f"the training continues from {tmp_path / early(left)}, step {left}")
    DAMAGES[damage](tmp_path / early(10))
    with pytest.raises(InvalidInput, match=r"(?s)no checkpoint of the run .*last\.pt.*-00000010\.pt.*--overwrite"):
        newest(tmp_path)


def test_without_any_state_there_is_nothing_to_continue_from(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    (tmp_path / "checkpoints").write_text("mine")
    assert newest(tmp_path) is None


def test_a_missing_last_state_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved = CheckpointFiles(tmp_path, 2)
    for step in (10, 20):
        saved.save(state(step))
    saved.last.unlink()
    found = newest(tmp_path)
    assert found is not None
    assert found.step == 10
    assert "last.pt is missing; the training continues from" in caplog.text


def test_a_state_of_a_later_release_is_refused_rather_than_passed_over(tmp_path: Path) -> None:
    saved = CheckpointFiles(tmp_path, 2)
    for step in (10, 20):
        saved.save(state(step))
    content = torch.load(saved.last, weights_only=True)
    for change in ({"format_version": 2}, {"spectrum": 1.0}):
        torch.save(content | change, saved.last)
        with pytest.raises(InvalidInput, match=r"format version 2|use the release of unettrain that wrote it"):
            newest(tmp_path)


def test_without_hard_links_a_state_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links here", str(source))

    monkeypatch.setattr(os, "link", no_links)
    saved = CheckpointFiles(tmp_path, 3)
    for step in (10, 20, 30, 40):
        saved.save(state(step))
    assert steps(tmp_path) == {"last.pt": 40, early(20): 20, early(30): 30}


@pytest.mark.parametrize("links", [True, False])
def test_a_full_disk_leaves_the_states_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    saved = CheckpointFiles(tmp_path, 2)
    saved.save(state(10))
    write, calls = checkpoints._Recorded.write, list[int]()

    def full(self: checkpoints._Recorded, data: bytes) -> int:
        calls.append(1)
        if len(calls) % 9 == 0:
            self.error = OSError(errno.ENOSPC, "No space left on device")
            raise self.error
        return write(self, data)

    def no_links(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links here", str(source))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints._Recorded, "write", full)
        if not links:
            patch.setattr(os, "link", no_links)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left") as failed:
                saved.save(state(20))
            assert failed.value.filename == str(saved.last)
            found = newest(tmp_path)
            assert found is not None
            assert found.step == 10
    assert not [name for name in files(tmp_path) if "partial" in name]
    saved.save(state(20))
    assert steps(tmp_path) == {"last.pt": 20, early(10): 10}


def test_a_full_disk_while_training_costs_the_steps_since_the_last_save(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run, config = make_store(), tmp_path / "run", quick(checkpoint_every=2)
    save, calls = checkpoints._Recorded.flush, list[int]()

    def full(self: checkpoints._Recorded) -> None:
        calls.append(1)
        if len(calls) > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints._Recorded, "flush", full)
        try:
            fit(store, run, config)
        except OSError:
            assert calls
    fit(store, run, config)
    fit(store, tmp_path / "straight", config)
    assert_same_run(run, tmp_path / "straight")


def test_a_training_continues_from_the_state_before_a_damaged_one(
    make_store: MakeStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, run, config = make_store(), tmp_path / "run", quick(steps=8, checkpoint_every=2, keep=2)
    with pytest.raises(KeyboardInterrupt):
        fit(store, run, config, on_progress=stop_at(7))
    assert steps(run / "checkpoints") == {"step-00000006.pt": 6}
    flip(run / "last.pt")
    assert fit(store, run, config).updates == 2
    assert "last.pt is damaged" in caplog.text
    fit(store, tmp_path / "straight", config)
    assert_same_run(run, tmp_path / "straight")


@pytest.mark.parametrize("lost", ["damaged", "missing"])
def test_a_lost_best_network_is_said_and_replaced(
    make_store: MakeStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(steps=3))
    last = load_checkpoint(run / "last.pt")
    save_checkpoint(run / "last.pt", replace(last, best_loss=0.0))  # no other network will be better
    flip(run / "best.pt") if lost == "damaged" else (run / "best.pt").unlink()
    result = fit(store, run, quick())
    assert f"best.pt is {lost}" in caplog.text
    assert "it is replaced by the network of the next validation, or of the last step" in caplog.text
    assert load_checkpoint(run / "best.pt").step == 6
    assert result.best_loss == load_checkpoint(run / "best.pt").best_loss


def test_the_state_of_another_run_is_not_passed_over(make_store: MakeStore, tmp_path: Path) -> None:
    store, run, config = make_store(), tmp_path / "run", quick(checkpoint_every=2)
    fit(store, run, config)
    save_checkpoint(run / "last.pt", replace(load_checkpoint(run / "last.pt"), run="f" * 64))
    with pytest.raises(Conflict, match=r"last\.pt is of another run"):
        fit(store, run, quick(steps=7, checkpoint_every=2, keep=2))


def test_a_run_of_an_earlier_release_has_only_its_last_state(make_store: MakeStore, tmp_path: Path) -> None:
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(steps=3, keep=1))
    assert not (run / "checkpoints").exists()
    fit(store, run, quick(keep=2))
    assert steps(run / "checkpoints") == {"step-00000003.pt": 3}
    fit(store, tmp_path / "straight", quick())
    assert_same_run(run, tmp_path / "straight")


def test_overwriting_removes_all_states(make_store: MakeStore, tmp_path: Path) -> None:
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(checkpoint_every=1, keep=4))
    assert len(list((run / "checkpoints").iterdir())) == 3
    fit(store, run, quick(steps=1, seed=1), overwrite=True)
    assert files(run) == ["best.pt", "config.json", "last.pt", "log.jsonl"]
    (run / "config.json").unlink()
    (run / "last.pt").rename(run / "checkpoints.pt")
    (run / "checkpoints").mkdir()
    (run / "checkpoints.pt").rename(run / early(1))
    with pytest.raises(Conflict, match=r"step-00000001\.pt without its config\.json"):
        fit(store, run, quick(seed=1))


@pytest.mark.parametrize(
    ("every", "minutes", "expected"),
    [(0, 0, []), (3, 0, [3, 6, 9]), (0, 2.5, [3, 6, 9]), (4, 5, [4, 8]), (1, 1, list(range(1, 11)))],
)
def test_states_are_saved_by_steps_or_minutes(every: int, minutes: float, expected: list[int]) -> None:
    now = [100.0]
    schedule = SaveSchedule(quick(checkpoint_every=every, checkpoint_minutes=minutes), lambda: now[0])
    saved = []
    for step in range(1, 11):
        now[0] += 60
        if schedule.is_due(step):
            saved.append(step)
            schedule.saved()
    assert saved == expected


def test_saving_between_validations_does_not_change_the_result(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store()
    fit(store, tmp_path / "a", quick(checkpoint_every=1))
    fit(store, tmp_path / "b", quick(checkpoint_minutes=0))
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert log_of(tmp_path / "a")
    assert logging.getLogger("unettrain").level == logging.NOTSET
