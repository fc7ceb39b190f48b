"""Options of a training: the choice of best.pt, early stopping, averages, pictures, TensorBoard, divergence."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import pytest
import torch

from tests.trainer.test_training_loop import assert_same_run, log_of, quick, stop_at
from unettrain import tensorboard_log
from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.checkpoint import load_checkpoint
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.selection import DecodingScores, candidate_decodings
from unettrain.errors import Conflict, Failure, InvalidInput
from unettrain.examples import Examples
from unettrain.metrics.components import label_components
from unettrain.metrics.instances import THRESHOLDS, Matching, match_at_thresholds
from unettrain.metrics.overlap import Overlap
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream
from unettrain.trainer import Trainer
from unettrain.training_loop import fit
from unettrain.validation import BestScores, Look, Validation

MakeStore = Callable[..., Path]
SCORES = [(0.5, 10, 0.3), (0.4, 5, 0.2), (0.6, 20, 0.1), (0.7, 5, 0.4), (0.8, 5, 0.0)]  # loss, tp of 100, AP


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[tuple[float, int, float]]], None]:
    """Replace the scores of the validations at steps 1, 2, ..."""

    def use(scores: Sequence[tuple[float, int, float]]) -> None:
        def validate(self: Trainer, stream: Iterable[Batch], look: Look) -> Validation:
            for batch in stream:
                look(batch, *self.predict(batch)[:2])
            loss, tp, ap = scores[self.step - 1]
            return Validation(loss, Overlap(tp, 100 - tp, 0, 0), ap)

        monkeypatch.setattr(Trainer, "validate", validate)

    return use


def test_of_equal_networks_the_one_with_the_lower_loss_is_better() -> None:
    none = BestScores()
    first = none.after(Validation(0.5, Overlap(), 0.0), "ap")
    assert first == BestScores(0.5, None, 0.0)
    assert first.after(Validation(0.4, Overlap(), 0.0), "ap") == BestScores(0.4, None, 0.0)
    assert first.after(Validation(0.6, Overlap(), 0.0), "ap") == BestScores(0.5, None, 0.0, num_worse=1)


@pytest.mark.parametrize(("measure", "step"), [("loss", 2), ("iou", 3), ("ap", 4), ("last", 5)])
def test_best_is_kept_by_the_named_measure(
    make_store: MakeStore, tmp_path: Path, scored: Callable[..., None], measure: str, step: int
) -> None:
    scored(SCORES)
    result = fit(make_store(), tmp_path / "run", quick(steps=5, validate_every=1, best_by=measure))
    best = load_checkpoint(tmp_path / "run" / "best.pt")
    loss, tp, ap = SCORES[step - 1]
    assert (best.step, best.best_loss, best.best_iou, best.best_ap) == (step, loss, tp / 100, ap)
    assert (result.best_loss, result.val_iou, result.val_ap) == (loss, tp / 100, ap)


def test_a_training_ends_after_so_many_worse_validations(
    make_store: MakeStore, tmp_path: Path, scored: Callable[..., None]
) -> None:
    scored(SCORES)
    store, config = make_store(), quick(steps=5, validate_every=1, patience=2, best_by="loss")
    result = fit(store, tmp_path / "run", config)
    assert (result.step, result.ended_early) == (4, True)
    assert load_checkpoint(tmp_path / "run" / "last.pt").num_worse == 2
    again = fit(store, tmp_path / "run", config)
    assert (again.step, again.updates, again.ended_early) == (4, 0, True)
    more = fit(store, tmp_path / "run", quick(steps=5, validate_every=1, patience=0, best_by="loss"))
    assert (more.step, more.ended_early) == (5, False)


@pytest.mark.parametrize("step", [2, 3])
def test_an_interrupt_does_not_count_a_validation_twice(
    make_store: MakeStore, tmp_path: Path, scored: Callable[..., None], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    scored(SCORES)
    store, config = make_store(), quick(steps=5, validate_every=1, examples=1, best_by="loss")

    def interrupted(self: Examples, run_dir: Path, at: int) -> None:
        if at == step:
            raise KeyboardInterrupt

    fit(store, tmp_path / "straight", config)
    with monkeypatch.context() as patch:
        patch.setattr("unettrain.training_loop.Examples.write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(store, tmp_path / "stopped", config)
    fit(store, tmp_path / "stopped", config)
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")
    ends = [load_checkpoint(tmp_path / name / "last.pt").num_worse for name in ("straight", "stopped")]
    assert ends == [3, 3]


@pytest.mark.parametrize(
    "options", [{"ema": 0.9}, {"optimizer": "adamw", "schedule": "cosine"}, {"amp": "bf16"}, {"amp": "fp16"}], ids=str
)
def test_what_is_averaged_scheduled_or_scaled_resumes_exactly(
    make_store: MakeStore, tmp_path: Path, options: dict[str, Any]
) -> None:
    store, config = make_store(), quick(batch_size=2, accumulate=2, **options)
    fit(store, tmp_path / "straight", config)
    with pytest.raises(KeyboardInterrupt):
        fit(store, tmp_path / "stopped", config, on_progress=stop_at(4))
    fit(store, tmp_path / "stopped", config)
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")
    ends = [load_checkpoint(tmp_path / name / "last.pt") for name in ("straight", "stopped")]
    torch.testing.assert_close(ends[0].ema, ends[1].ema, rtol=0, atol=0)
    assert ends[0].scaler == ends[1].scaler


def test_a_run_with_a_schedule_has_a_fixed_number_of_steps(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store()
    fit(store, tmp_path / "run", quick(schedule="cosine"))
    with pytest.raises(Conflict, match=r"steps: 6 there, 9 now\n  to do:   train its network further .* --from .*run,"):
        fit(store, tmp_path / "run", quick(schedule="cosine", steps=9))


def test_every_validation_shows_examples(make_store: MakeStore, tmp_path: Path) -> None:
    store, run = make_store(), tmp_path / "run"
    passes = []
    with pytest.MonkeyPatch.context() as patch:
        predict = Trainer.predict

        def counted(self: Trainer, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            passes.append(batch.indices.tolist())
            return predict(self, batch)

        patch.setattr(Trainer, "predict", counted)
        fit(store, run, quick(examples=2))
    num_tiles = len({tile for tiles in passes for tile in tiles})
    assert len(passes) == 2 * num_tiles  # at two validations, each tile once, examples among them
    assert sorted(p.name for p in (run / "examples").iterdir()) == ["step-00000003.png", "step-00000006.png"]
    picture = iio.imread(run / "examples" / "step-00000006.png")
    output = 20
    assert picture.shape == (2 * output + 4, 4 * output + 3 * 4, 3)
    panels = [picture[:output, k * (output + 4) : k * (output + 4) + output] for k in range(4)]
    assert panels[0].std() > 0
    assert set(panels[1].ravel()) <= {0, 255}
    (run / "examples" / "notes.txt").write_text("mine")
    fit(store, run, quick(steps=1), overwrite=True)
    assert [p.name for p in (run / "examples").iterdir()] == ["notes.txt"]


def test_tensorboard_gets_the_values_of_the_log(make_store: MakeStore, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    store, run = make_store(), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(store, run, quick(tensorboard=True, log_every=1), on_progress=stop_at(3))
    fit(store, run, quick(tensorboard=True, log_every=1))
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    found = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert [step for step, _ in found["loss"]] == [1, 2, 3, 4, 5, 6]
    assert [value for _, value in found["loss"]] == pytest.approx([r["loss"] for r in log_of(run)])
    assert [step for step, _ in found["val_ap"]] == [3, 6]
    fit(store, run, quick(steps=1), overwrite=True)
    assert not (run / "tensorboard").exists()


def test_without_tensorboard_it_says_what_to_install(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(InvalidInput, match=r"pip install 'unetprep\[tensorboard\]'"):
        tensorboard_log.TensorBoardLog(tmp_path, 0)


def test_a_diverging_run_names_the_step_and_what_is_kept(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(steps=3))
    monkeypatch.setattr(Trainer, "_gradient", lambda self, batch: float("nan"))
    with pytest.raises(
        Failure, match=r"(?s)diverged: at step 3 the loss is nan.*to do.*kept: .*last\.pt and .*best\.pt"
    ):
        fit(store, run, quick())
    assert load_checkpoint(run / "last.pt").step == 3


def test_progress_tells_throughput(make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unettrain.pace.SETTLED_S", 0.0)
    seen = list[Any]()
    fit(make_store(), tmp_path / "run", quick(batch_size=2), on_progress=seen.append)
    assert seen[0].tiles_per_s is None
    assert seen[-1].tiles_per_s > 0
    assert 0 <= seen[-1].waiting <= 1
    assert '"waiting": ' in (tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1]


def test_the_decoding_is_chosen_on_the_validation_split_at_the_end(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run = make_store(), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(store, run, quick(), on_progress=stop_at(4))
    assert load_checkpoint(run / "best.pt").decoding == {}
    fit(store, run, quick())
    best, stream = load_checkpoint(run / "best.pt"), TileStream(store, "val", augmentation=NO_AUGMENTATION)
    network, scores = best.build(), DecodingScores(candidate_decodings(DecodingParams()))
    for k in range(len(stream.split_indices)):
        batch = stream.batch(k)
        with torch.no_grad():
            foreground = network(batch.image).softmax(1)[:, 1].numpy()
        scores.add(foreground, label_components(batch.target.numpy()), (batch.weights == 0).numpy())
    ap = {params: scores.mean_ap(k) for k, params in enumerate(scores.candidates)}
    assert ap[best.decoding_params] == pytest.approx(max(ap.values()), abs=1e-9)
    before = (run / "best.pt").read_bytes()
    fit(store, run, quick())
    assert (run / "best.pt").read_bytes() == before


def test_validation_ap_is_that_of_the_components_of_the_target(make_store: MakeStore, tmp_path: Path) -> None:
    store, run = make_store(), tmp_path / "run"
    fit(store, run, quick(steps=3))
    network, stream = load_checkpoint(run / "last.pt").build(), TileStream(store, "val", augmentation=NO_AUGMENTATION)
    found: tuple[Matching, ...] = (Matching(),) * len(THRESHOLDS)
    for k in range(len(stream.split_indices)):
        batch = stream.batch(k)
        with torch.no_grad():
            cells = separate_instances(network(batch.image).softmax(1)[0, 1].numpy())
        truth, ignored = label_components(batch.target[0].numpy()), (batch.weights[0] == 0).numpy()
        found = tuple(a + b for a, b in zip(found, match_at_thresholds(truth, cells, ignored=ignored), strict=True))
    expected = sum(m.average_precision for m in found) / len(THRESHOLDS)
    assert log_of(run)[-1]["val_ap"] == pytest.approx(expected)


def test_a_validation_split_without_cells_chooses_no_decoding(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    empty = cells(40, 2, "val")
    empty.target[:] = 0
    fit(make_store([cells(60, 0), empty]), tmp_path / "run", quick(steps=1))
    assert load_checkpoint(tmp_path / "run" / "best.pt").decoding == {}


def test_a_validation_split_without_cells_has_no_iou_and_no_ap(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    some = cells(50, 1, "val")
    empty = type(some)(some.image, some.target * 0, some.weights * 0 + 1, "val")
    run = tmp_path / "run"
    result = fit(make_store([cells(50, 0), empty]), run, quick(steps=2, validate_every=1))
    assert (result.val_iou, result.val_ap) == (None, None)  # not 1, which a network that finds nothing would get
    assert "the validation split holds no cell" in result.warnings[-1]
    losses = [line["val_loss"] for line in log_of(run)]
    assert result.best_loss == min(losses)
    assert "val_ap" not in log_of(run)[0]


def test_a_validation_split_of_no_weight_is_refused(
    make_store: MakeStore, cells: Callable[..., Any], tmp_path: Path
) -> None:
    some = cells(50, 1, "val")
    ignored = type(some)(some.image, some.target, some.weights * 0, "val")
    with pytest.raises(InvalidInput, match="weights of all pixels of the validation split are 0"):
        fit(make_store([cells(50, 0), ignored]), tmp_path / "run", quick(steps=1))


def test_a_training_whose_every_gradient_overflows_in_fp16_is_warned_of(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(self: Trainer, batch: object) -> float:
        for parameter in self.model.parameters():
            parameter.grad = torch.full_like(parameter, torch.inf)
        self.scaler.scale(torch.zeros(()))  # begins scaling
        return 0.5

    monkeypatch.setattr(Trainer, "_gradient", overflow)
    result = fit(make_store(), tmp_path / "run", quick(steps=3, amp="fp16"))
    assert any(warning.startswith("3 of 3 updates were skipped") for warning in result.warnings)


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"cut short")])
def test_a_complete_run_gets_a_new_best_for_one_that_is_lost(
    make_store: MakeStore, tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    store, run, config = make_store(), tmp_path / "run", quick(steps=2, validate_every=1)
    fit(store, run, config)
    lose(run / "best.pt")
    result = fit(store, run, config)
    assert (result.updates, load_checkpoint(run / "best.pt").step) == (0, 2)
    assert result.best_loss == load_checkpoint(run / "last.pt").best_loss is not None


def test_overwriting_keeps_pictures_of_others(make_store: MakeStore, tmp_path: Path) -> None:
    store, run, others = make_store(), tmp_path / "run", tmp_path / "others"
    fit(store, run, quick(steps=1, examples=1))
    (run / "examples" / "step-mine.png").touch()
    fit(store, run, quick(steps=1, examples=0), overwrite=True)
    assert [path.name for path in (run / "examples").iterdir()] == ["step-mine.png"]
    (run / "examples").rename(others)
    (others / "step-00000001.png").touch()
    (run / "examples").symlink_to(others)
    fit(store, run, quick(steps=1, examples=0), overwrite=True)
    assert (others / "step-00000001.png").exists()
