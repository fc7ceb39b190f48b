"""Training loop: updates, validation, log, checkpoints, and resuming."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from unetprep.storage.lock import Lock
from unetprep.storage.signals import deferred_signals
from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.checkpoint_files import SaveSchedule
from unettrain.config import FitConfig
from unettrain.device import pick_device
from unettrain.errors import InvalidInput, raises_own_errors
from unettrain.memory import check_memory
from unettrain.outcome import training_warnings
from unettrain.run_dir import RunDir, load_last, locked_run, open_run
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream
from unettrain.trainer import Trainer


@dataclass(frozen=True)
class Progress:
    """State of a run after an update, `seconds` after `fit` began; `val_` values only after a validation."""

    step: int
    steps: int
    loss: float
    seconds: float
    val_loss: float | None = None
    val_iou: float | None = None


@dataclass(frozen=True)
class FitResult:
    """A completed run. `best_loss` is the lowest validation loss, None without a validation split.

    `val_iou` is the validation IoU of the network with that loss, best.pt. `warnings` are sentences that say why the
    network is useless although every step succeeded; usually empty.
    """

    run_dir: Path
    step: int
    updates: int  # made by this call; 0 if the run was complete already
    best_loss: float | None
    val_iou: float | None = None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, for JSON."""
        values = {"run": str(self.run_dir), "step": self.step, "updates": self.updates}
        return values | {"best_loss": self.best_loss, "val_iou": self.val_iou, "warnings": list(self.warnings)}


@raises_own_errors
def fit(
    store: str | Path,
    run_dir: str | Path,
    config: FitConfig | None = None,
    *,
    overwrite: bool = False,
    require_validation: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> FitResult:
    """Train a network on the tiles of a store, or continue an interrupted run.

    The run directory receives config.json, log.jsonl, last.pt (the state to continue from) and best.pt (the network
    with the lowest validation loss). They are saved at every validation, at the end and on Ctrl-C, and last.pt also as
    often as `checkpoint_every` and `checkpoint_minutes` say. If last.pt is damaged, a warning names it and the run
    continues from the state before it. On the CPU the result depends on store and configuration alone, whether the run
    was interrupted or killed or not. A run that has reached
    `config.steps` is left unchanged. The directory is locked during the training; other processes may read it.

    Raises InvalidInput for a store that cannot be trained on or, with `require_validation`, has no validation tiles;
    Conflict if `run_dir` holds another run or another process trains in it; Failure if the training diverges.
    """
    config = config or FitConfig()
    stream = TileStream.of(store, config, pick_device(config.device))
    config = config.for_classes(stream.tiles.num_classes)
    validation = _Validation(store, stream)
    if require_validation and not validation.num_tiles:
        raise InvalidInput(
            f"{store} has no validation tiles, so the validation IoU will not be known",
            hint="hold images out at import: unetprep import --val-fraction 0.2",
        )
    network = config.network(stream.tiles.num_channels, stream.tiles.depth)
    check_memory(network, config, on_gpu=pick_device(config.device).type != "cpu")
    with locked_run(run_dir) as lock:
        run, trainer = _open(store, run_dir, config, stream, overwrite, lock)
        first = trainer.step
        with torch.random.fork_rng([trainer.device] if trainer.device.type == "cuda" else []):
            _train(run, trainer, stream, validation, on_progress)
    return _result(run, trainer, first)


def _result(run: RunDir, trainer: Trainer, first: int) -> FitResult:
    best, last = trainer.best_iou, trainer.val_iou
    warnings = training_warnings(best, last, trainer.constant, trainer.step)
    return FitResult(run.path, trainer.step, trainer.step - first, trainer.best_loss, best, warnings)


class _Validation:
    """The tiles of the validation split; a training batch where there are none."""

    def __init__(self, store: str | Path, training: TileStream) -> None:
        self._store, self._training = store, training
        self._stream: TileStream | None = None
        self._sample: Batch | None = None
        self.num_tiles = len(training.tiles.indices("val"))

    def stream(self) -> TileStream | None:
        """All validation tiles, in batches of one and without augmentation; None if there are none."""
        num = self.num_tiles
        if self._stream is None and num:
            self._stream = TileStream(self._store, "val", augmentation=NO_AUGMENTATION, num_steps=num)
        return self._stream

    def sample(self) -> Batch:
        """The first training batch."""
        if self._sample is None:
            self._sample = self._training.batch(0)
        return self._sample


def _open(
    store: str | Path, run_dir: str | Path, config: FitConfig, stream: TileStream, overwrite: bool, lock: Lock
) -> tuple[RunDir, Trainer]:
    """The run directory, and the trainer in the state saved there, or at step 0."""
    tiles = stream.tiles
    network = config.network(tiles.num_channels, tiles.depth)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    trainer = Trainer(network, config, tiles.tile_px, tiles.training_images())  # may fail, before anything is replaced
    run = open_run(run_dir, store, stream.fingerprints, network, config, overwrite, lock)
    trainer.run = run.fingerprint
    last = load_last(run, config, network)
    if last is not None:
        trainer.restore(last)
    run.cut_log(trainer.step if trainer.pending_loss is None else trainer.step - 1)
    return run, trainer


def _train(
    run: RunDir,
    trainer: Trainer,
    stream: TileStream,
    validation: "_Validation",
    on_progress: Callable[[Progress], None],
) -> None:
    """Make the remaining updates. A step that an interrupt left unlogged is finished first."""
    begun, schedule = time.perf_counter(), SaveSchedule(trainer.config)
    try:
        if trainer.pending_loss is not None:
            on_progress(_finish_step(run, trainer, validation, schedule, begun))
        with closing(stream.batches(trainer.step, max(0, trainer.config.steps - trainer.step))) as batches:
            for batch in batches:
                trainer.update(batch)
                on_progress(_finish_step(run, trainer, validation, schedule, begun))
    except KeyboardInterrupt:
        with deferred_signals():
            if trainer.whole and trainer.is_finite:
                run.save_last(trainer.checkpoint(with_optimizer=True))
        raise


def _finish_step(
    run: RunDir, trainer: Trainer, validation: "_Validation", schedule: SaveSchedule, begun: float
) -> Progress:
    """Validate and save if due, and log the step."""
    step, config, loss = trainer.step, trainer.config, trainer.pending_loss
    assert loss is not None
    due = step % config.validate_every == 0 or step == config.steps
    scores = _validate(run, trainer, validation) if due else {}
    progress = Progress(step, config.steps, loss, time.perf_counter() - begun, **scores)
    if due or step % config.log_every == 0:
        values = asdict(progress) | {"seconds": round(progress.seconds, 3)}
        run.append_log({name: v for name, v in values.items() if v is not None and name != "steps"})
    trainer.pending_loss = None
    if due or schedule.is_due(step):
        trainer.check_finite()
        run.save_last(trainer.checkpoint(with_optimizer=True))
        schedule.saved()
    return progress


def _validate(run: RunDir, trainer: Trainer, validation: _Validation) -> dict[str, float]:
    """Scores of the validation split, empty without one. Saves the network if it is the best so far."""
    trainer.check_finite()
    stream = validation.stream()
    if stream is None:
        trainer.constant = trainer.is_constant(validation.sample())
        run.save_best(trainer.checkpoint(with_optimizer=False))
        return {}
    found = trainer.validate(stream)
    trainer.val_iou, trainer.constant = found.cells.iou, found.constant
    if trainer.best_loss is None or found.loss < trainer.best_loss:
        best = replace(trainer.checkpoint(with_optimizer=False), best_loss=found.loss, best_iou=found.cells.iou)
        run.save_best(best)
        trainer.best_loss, trainer.best_iou = found.loss, found.cells.iou
    return {"val_loss": found.loss, "val_iou": found.cells.iou}
