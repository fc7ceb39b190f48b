"""Training: it learns, it can be interrupted at any step, and it refuses to mix two runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from unettrain.checkpoint import load_checkpoint
from unettrain.config import FitConfig
from unettrain.errors import Conflict, Failure, InvalidInput
from unettrain.run_dir import RunDir
from unettrain.stream.tile_stream import TileStream
from unettrain.trainer import Trainer
from unettrain.training_loop import FitResult, Progress, fit
from unettrain.validation import Validation

MakeStore = Callable[..., Path]
QUICK: dict[str, Any] = {
    "steps": 6, "base_channels": 2, "validate_every": 3, "log_every": 2, "examples": 0, "keep": 1,
    "schedule": "constant",
}  # fmt: skip


def quick(**values: Any) -> FitConfig:
    return FitConfig(**(QUICK | values))


TIMES = ("seconds", "tiles_per_s", "waiting")


def log_of(run: Path) -> list[dict[str, float]]:
    """The lines of the log, without those values that a slow machine changes."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def assert_same_run(a: Path, b: Path) -> None:
    """The two runs have bit for bit the same checkpoints, and the same log but for the time."""
    assert log_of(a) == log_of(b)
    for name in ("last.pt", "best.pt"):
        assert_same_state(a / name, b / name)


def assert_same_state(a: Path, b: Path) -> None:
    """The two checkpoints hold bit for bit the same network and optimizer."""
    first, second = load_checkpoint(a), load_checkpoint(b)
    assert (first.step, first.best_loss) == (second.step, second.best_loss)
    assert first.pending_loss is second.pending_loss is None
    torch.testing.assert_close(first.weights, second.weights, rtol=0, atol=0)
    torch.testing.assert_close(first.optimizer, second.optimizer, rtol=0, atol=0)


def stop_at(step: int) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return on_progress


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_it_learns_to_tell_cells_from_ground(make_store: MakeStore, tmp_path: Path, optimizer: str) -> None:
    steps, rate = {"sgd": (90, 0.1), "adam": (80, 0.01)}[optimizer]
    config = FitConfig(
        steps=steps, batch_size=4, optimizer=optimizer, learning_rate=rate, momentum=0.9, base_channels=4,
        warmup_steps=20, validate_every=steps // 2, dropout=0.1,
    )  # fmt: skip
    result = fit(make_store(), tmp_path / "run", config)
    scores = {record["step"]: record for record in log_of(tmp_path / "run") if "val_loss" in record}
    assert list(scores) == [steps // 2, steps]
    assert result.best_loss == min(s["val_loss"] for s in scores.values()) < 0.5
    assert max(s["val_iou"] for s in scores.values()) > 0.75


def test_a_run_leaves_its_files(make_store: MakeStore, tmp_path: Path) -> None:
    store, run, heard = make_store(), tmp_path / "runs" / "first", list[Progress]()
    result = fit(store, run, quick(), on_progress=heard.append)
    assert sorted(p.name for p in run.iterdir()) == ["best.pt", "config.json", "last.pt", "log.jsonl"]
    record = json.loads((run / "config.json").read_text())
    assert record["store"] == str(store)
    assert record["software"].startswith("unettrain 0.")
    assert record["fit"]["base_channels"] == 2
    assert record["network"] == {"in_channels": 1, "num_classes": 2, "base_channels": 2, "depth": 2,
                                 "variant": "paper", "dropout": 0.0, "padding": "valid",
                                 "normalization": "none"}  # fmt: skip
    assert set(record["data"]) == {"tiles/image", "tiles/target", "tiles/weights", "fields/grids", "order of tiles"}
    assert [r["step"] for r in log_of(run)] == [2, 3, 4, 6]
    assert [set(r) - {"step", "loss"} for r in log_of(run)] == [
        set(), {"val_loss", "val_iou", "val_ap"}, set(), {"val_loss", "val_iou", "val_ap"}
    ]  # fmt: skip
    assert [p.step for p in heard] == [1, 2, 3, 4, 5, 6]
    best = load_checkpoint(run / "best.pt")
    assert best.best_loss == result.best_loss == min(r["val_loss"] for r in log_of(run) if "val_loss" in r)
    assert best.optimizer == {}
    assert best.pending_loss is None
    assert (best.tile_px, best.network.depth) == (60, 2)


@pytest.mark.parametrize("step", [1, 3, 5])
def test_an_interrupted_run_ends_as_if_it_had_not_been(make_store: MakeStore, tmp_path: Path, step: int) -> None:
    store, config = make_store(), quick(batch_size=2, steps=7)
    fit(store, tmp_path / "straight", config)
    with pytest.raises(KeyboardInterrupt):
        fit(store, tmp_path / "stopped", config, on_progress=stop_at(step))
    assert load_checkpoint(tmp_path / "stopped" / "last.pt").step == step
    assert fit(store, tmp_path / "stopped", config).updates == 7 - step
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")


@pytest.mark.parametrize("where", ["the validation", "the log"])
def test_an_interrupt_after_an_update_is_made_up_for(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    store, run, validate, append = make_store(), tmp_path / "stopped", Trainer.validate, RunDir.append_log

    def interrupted_validate(self: Trainer, stream: TileStream, *rest: Any) -> Validation:
        if self.step == 6:
            raise KeyboardInterrupt
        return validate(self, stream, *rest)

    def interrupted_append(self: RunDir, record: Any) -> None:
        append(self, record)
        if record["step"] == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if where == "the validation":
            patch.setattr(Trainer, "validate", interrupted_validate)
        else:
            patch.setattr(RunDir, "append_log", interrupted_append)
        with pytest.raises(KeyboardInterrupt):
            fit(store, run, quick())
    assert load_checkpoint(run / "last.pt").step == 6
    assert fit(store, run, quick()).updates == 0
    fit(store, tmp_path / "straight", quick())
    assert_same_run(tmp_path / "straight", run)


def test_an_interrupt_within_an_update_saves_nothing_half_done(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = torch.optim.SGD.step, list[int]()

    def interrupted(self: torch.optim.SGD, closure: None = None) -> None:
        calls.append(1)
        step(self, closure)
        if len(calls) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.SGD, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(make_store(), tmp_path / "run", quick(optimizer="sgd"))
    assert load_checkpoint(tmp_path / "run" / "last.pt").step == 3


def test_a_killed_run_forgets_what_it_logged_after_its_last_save(make_store: MakeStore, tmp_path: Path) -> None:
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(steps=3))
    with (run / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "loss": 9.0, "seconds": 1.0}\n{"step": 5, "lo')
    fit(store, run, quick())
    assert [r["step"] for r in log_of(run)] == [2, 3, 4, 6]
    assert log_of(run)[2]["loss"] != 9.0


def test_more_steps_continue_a_run_and_a_complete_one_is_left_alone(make_store: MakeStore, tmp_path: Path) -> None:
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(steps=3))
    assert fit(store, run, quick()).updates == 3
    fit(store, tmp_path / "straight", quick())
    assert_same_state(run / "last.pt", tmp_path / "straight" / "last.pt")
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    for steps in (6, 2):
        result = fit(store, run, quick(steps=steps))
        assert (result.step, result.updates) == (6, 0)
    after = {p.name: p.read_bytes() for p in run.iterdir()}
    assert {n for n in before if before[n] != after[n]} <= {"config.json"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": 1}, "seed: 0 there, 1 now"),
        (
            {"learning_rate": 0.5, "flips": False},
            r"learning-rate: 0.001 there, 0.5 now\n.*flips: True there, False now",
        ),
        ({"base_channels": 4}, "base-channels: 2 there, 4 now"),
    ],
)
def test_another_run_is_refused_naming_what_differs(
    make_store: MakeStore, tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(steps=2))
    with pytest.raises(Conflict, match=rf"holds another run:\n.*{message}[^$]*--overwrite"):
        fit(store, run, quick(**values))
    assert fit(store, run, quick(steps=2, **values), overwrite=True).updates == 2
    assert [r["step"] for r in log_of(run)] == [2]


def test_other_data_are_another_run(make_store: MakeStore, tmp_path: Path) -> None:
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(steps=2))
    weights = zarr.open_array(store, path="tiles/weights", mode="r+")
    ours: Any = weights.attrs["unetprep"]
    weights.attrs["unetprep"] = ours | {"fingerprint": "another"}
    with pytest.raises(Conflict, match="tiles/weights: made:tiles/weights there, another now"):
        fit(store, run, quick())


def test_a_directory_that_is_no_run_is_not_touched(make_store: MakeStore, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(InvalidInput, match="notes is not a folder"):
        fit(make_store(), tmp_path / "notes", quick())
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{")
    with pytest.raises(Conflict, match=r"config\.json cannot be read"):
        fit(tmp_path / "ds.zarr", run, quick())
    (run / "config.json").rename(run / "last.pt")
    with pytest.raises(Conflict, match=r"last\.pt without its config\.json"):
        fit(tmp_path / "ds.zarr", run, quick())


def test_a_training_that_diverges_says_so_and_saves_no_wreck(make_store: MakeStore, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Failure, match=r"diverged: (at|after) step \d+[^$]*a lower learning-rate"):
        fit(make_store(), run, quick(learning_rate=1e30, warmup_steps=0, clip_norm=0))
    saved = run / "last.pt"
    assert not saved.exists() or all(w.isfinite().all() for w in load_checkpoint(saved).weights.values())


def test_without_a_validation_split_the_best_is_the_last(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    result = fit(make_store([cells(40, 0)]), tmp_path / "run", quick())
    last, best = (load_checkpoint(tmp_path / "run" / name) for name in ("last.pt", "best.pt"))
    assert result.best_loss is None
    assert best.step == last.step == 6
    assert best.pending_loss is None
    torch.testing.assert_close(best.weights, last.weights, rtol=0, atol=0)


def test_a_store_without_fields_trains_when_asked_to(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store(num_fields=0)
    with pytest.raises(InvalidInput, match=r"unetprep deform --out .*--no-deform"):
        fit(store, tmp_path / "run", quick())
    assert not (tmp_path / "run").exists()
    assert fit(store, tmp_path / "run", quick(deform=False, steps=1)).step == 1


def test_a_class_too_many_is_refused(make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path) -> None:
    sample = cells(40, 0)
    sample.target[sample.target == 1] = 2
    store = make_store([sample])
    with pytest.raises(InvalidInput, match="class 2\n  allowed: 0 to 1, since num-classes is 2"):
        fit(store, tmp_path / "run", quick())
    assert fit(store, tmp_path / "three", quick(num_classes=3, steps=1)).step == 1


def test_validation_pools_over_the_whole_split(make_store: MakeStore, tmp_path: Path) -> None:
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(steps=1))
    model = load_checkpoint(run / "last.pt").build()
    root = zarr.open_group(store, mode="r")
    split, image, target, weights = (np.asarray(root[f"tiles/{n}"][:]) for n in ("split", "image", "target", "weights"))  # type: ignore[index]
    cut = np.s_[split == 1, ..., 8:-8, 8:-8]
    with torch.inference_mode():
        log_p = model(torch.from_numpy(image[cut] / np.float32(255))).log_softmax(1).numpy()
    truth, w = target[cut].astype(int), weights[cut]
    entropy = -np.take_along_axis(log_p, truth[:, None], 1)[:, 0]
    found, inside = log_p.argmax(1), w > 0
    assert log_of(run)[0]["val_loss"] == pytest.approx((w * entropy).sum() / w.sum(), rel=1e-5)
    expected = ((found == 1) & (truth == 1) & inside).sum() / (((found == 1) | (truth == 1)) & inside).sum()
    assert log_of(run)[0]["val_iou"] == pytest.approx(expected)


def test_bfloat16_trains_and_keeps_float32_weights(make_store: MakeStore, tmp_path: Path) -> None:
    fit(make_store(), tmp_path / "run", quick(steps=2, amp="bf16"))
    weights = load_checkpoint(tmp_path / "run" / "last.pt").weights
    assert {w.dtype for w in weights.values()} == {torch.float32}


def test_training_leaves_the_global_random_state_alone(make_store: MakeStore, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    fit(make_store(), tmp_path / "run", quick(steps=2))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_device_that_is_not_there_is_refused() -> None:
    for name in ("gpu", "cuda:99", "meta"):
        with pytest.raises(InvalidInput, match=f"{name}'"):
            Trainer(FitConfig().network(1, 1), quick(device=name), 60)


def test_the_result_says_what_was_done(make_store: MakeStore, tmp_path: Path) -> None:
    result = fit(str(make_store()), str(tmp_path / "run"), quick(steps=2))
    expected = FitResult(tmp_path / "run", 2, 2, result.best_loss, result.val_iou, result.warnings, result.val_ap)
    assert result == expected
    assert result.val_iou == log_of(tmp_path / "run")[-1]["val_iou"]
