"""Training loop: updates, validation, log, checkpoints, and resuming."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from unetprep.storage.lock import Lock
from unetprep.storage.signals import deferred_signals
from unettrain.augment.draw import NO_AUGMENTATION
from unettrain.config import FitConfig
from unettrain.errors import InvalidInput
from unettrain.memory import check_memory
from unettrain.outcome import training_warnings
from unettrain.run_dir import RunDir, load_last, locked_run, open_run
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream
from unettrain.training import Training, pick_device


@dataclass(frozen=True)
class Progress:
    """How a run stands after an update, `seconds` after `fit` began; `val_` only where a validation was made."""

    step: int
    steps: int
    loss: float
    seconds: float
    val_loss: float | None = None
    val_iou: float | None = None


@dataclass(frozen=True)
class FitResult:
    """A run that reached its steps. `best_loss` is the lowest validation loss, None without a validation split.

    `val_iou` is the validation IoU of the network with that loss, which is best.pt. `warnings` say, in sentences, why
    the network is of no use although every step succeeded; empty where nothing was found.
    """

    run_dir: Path
    step: int
    updates: int  # made by this call: 0 where the run was complete
    best_loss: float | None
    val_iou: float | None = None
    warnings: tuple[str, ...] = ()


def fit(
    store: str | Path,
    run_dir: str | Path,
    config: FitConfig | None = None,
    *,
    overwrite: bool = False,
    require_validation: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> FitResult:
    """Train a network on the tiles of a store, in a run directory, and go on there where the same run stopped.

    The directory gets config.json, log.jsonl, last.pt (the run) and best.pt (the network of the lowest validation
    loss), saved at every validation, at the end and on Ctrl-C. On the CPU the result depends on store and configuration
    alone, whether the run was interrupted or not. A run that has reached `config.steps` is left as it is. The directory
    is locked meanwhile; others may read it.

    Raises InvalidInput for a store that cannot be trained on, or, with `require_validation`, that has no validation
    tiles; Conflict where another run stands in `run_dir`, or another process trains there; Failure where the training
    diverges.
    """
    config = config or FitConfig()
    stream = TileStream.of(store, config, pick_device(config.device))
    validation = _Validation(store, stream)
    if require_validation and not validation.num_tiles:
        raise InvalidInput(
            f"{store} has no validation tiles, so that no validation IoU will be known",
            hint="hold images out at import: unetprep import --val-fraction 0.2",
        )
    network = config.network(stream.tiles.num_channels, stream.tiles.depth)
    check_memory(network, config, on_gpu=pick_device(config.device).type != "cpu")
    with locked_run(run_dir) as lock:
        run, training = _open(store, run_dir, config, stream, overwrite, lock)
        first = training.step
        with torch.random.fork_rng([training.device] if training.device.type == "cuda" else []):
            _train(run, training, stream, validation, on_progress)
    return _result(run, training, first)


def _result(run: RunDir, training: Training, first: int) -> FitResult:
    best, last = training.best_iou, training.val_iou
    warnings = training_warnings(best, last, training.constant, training.step)
    return FitResult(run.path, training.step, training.step - first, training.best_loss, best, warnings)


class _Validation:
    """The tiles of the validation split, and a batch to look at where there are none."""

    def __init__(self, store: str | Path, training: TileStream) -> None:
        self._store, self._training = store, training
        self._stream: TileStream | None = None
        self._sample: Batch | None = None
        self.num_tiles = len(training.tiles.indices("val"))

    def stream(self) -> TileStream | None:
        """All validation tiles, one by one and without augmentation; None where there are none."""
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
) -> tuple[RunDir, Training]:
    """The directory of the run, and the training as it stood there, or at its beginning."""
    tiles = stream.tiles
    network = config.network(tiles.num_channels, tiles.depth)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    training = Training(
        network, config, tiles.tile_px, tiles.training_images()
    )  # may fail, before anything is replaced
    run = open_run(run_dir, store, stream.fingerprints, network, config, overwrite, lock)
    training.run = run.fingerprint
    last = load_last(run, config, network)
    if last is not None:
        training.restore(last)
    run.cut_log(training.step if training.pending_loss is None else training.step - 1)
    return run, training


def _train(
    run: RunDir,
    training: Training,
    stream: TileStream,
    validation: "_Validation",
    on_progress: Callable[[Progress], None],
) -> None:
    """Update after update up to the configured step; what was left pending by an interrupt is finished first."""
    begun = time.perf_counter()
    try:
        if training.pending_loss is not None:
            on_progress(_finish_step(run, training, validation, begun))
        with closing(stream.batches(training.step, max(0, training.config.steps - training.step))) as batches:
            for batch in batches:
                training.update(batch)
                on_progress(_finish_step(run, training, validation, begun))
    except KeyboardInterrupt:
        with deferred_signals():
            if training.whole and training.is_finite:
                run.save(run.last, training.checkpoint(with_optimizer=True))
        raise


def _finish_step(run: RunDir, training: Training, validation: "_Validation", begun: float) -> Progress:
    """What follows an update: validation and saving where they are due, a line of the log."""
    step, config, loss = training.step, training.config, training.pending_loss
    assert loss is not None
    due = step % config.validate_every == 0 or step == config.steps
    scores = _validate(run, training, validation) if due else {}
    progress = Progress(step, config.steps, loss, time.perf_counter() - begun, **scores)
    if due or step % config.log_every == 0:
        values = asdict(progress) | {"seconds": round(progress.seconds, 3)}
        run.append_log({name: v for name, v in values.items() if v is not None and name != "steps"})
    training.pending_loss = None
    if due:
        run.save(run.last, training.checkpoint(with_optimizer=True))
    return progress


def _validate(run: RunDir, training: Training, validation: _Validation) -> dict[str, float]:
    """Scores over the validation split, none without one; saves the network if it is the best so far."""
    training.check_finite()
    stream = validation.stream()
    if stream is None:
        training.constant = training.is_constant(validation.sample())
        run.save(run.best, training.checkpoint(with_optimizer=False))
        return {}
    found = training.validate(stream)
    training.val_iou, training.constant = found.cells.iou, found.constant
    if training.best_loss is None or found.loss < training.best_loss:
        best = replace(training.checkpoint(with_optimizer=False), best_loss=found.loss, best_iou=found.cells.iou)
        run.save(run.best, best)
        training.best_loss, training.best_iou = found.loss, found.cells.iou
    return {"val_loss": found.loss, "val_iou": found.cells.iou}
