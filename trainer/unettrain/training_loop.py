"""Training loop: updates, validation, log, checkpoints, and resuming."""

from collections.abc import Callable, Collection
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from unetprep.storage.lock import Lock
from unetprep.storage.signals import deferred_signals
from unettrain.checkpoint import Checkpoint, load_checkpoint
from unettrain.checkpoint_files import SaveSchedule
from unettrain.config import FitConfig
from unettrain.distributed import Group, PeerLost, joined
from unettrain.errors import Failure, InvalidInput, mark_reported_elsewhere, raises_own_errors
from unettrain.examples import Examples
from unettrain.initial import KEY, InitialWeights, adopt_network, initial_weights
from unettrain.memory import check_memory
from unettrain.notices import settings_notices
from unettrain.outcome import overflow_warnings, training_warnings, unscored_warnings
from unettrain.pace import Pace, time_notice
from unettrain.run_checkpoints import find_checkpoint, load_last, refuse_own_run
from unettrain.run_dir import RunDir, locked_run, open_run
from unettrain.stream.tile_stream import TileStream
from unettrain.tensorboard_log import TensorBoardLog
from unettrain.trainer import Diverged, Trainer
from unettrain.validation import BestScores
from unettrain.validation_tiles import ValidationTiles

DECODED_TILES = 64  # that choose the decoding, some tenths of a second each


@dataclass(frozen=True)
class Progress:
    """State of a run after update `step` of `steps`, `seconds` after `fit` began, with the `loss` of its batch.

    `val_loss`, `val_iou` (foreground) and `val_ap` (cells) are not None only after a validation.
    `tiles_per_s` and `waiting`, the share of the time spent waiting for data (0 to 1), are those of the last 50 steps;
    None in the first steps.
    """

    step: int
    steps: int
    loss: float
    seconds: float
    val_loss: float | None = None
    val_iou: float | None = None
    val_ap: float | None = None
    tiles_per_s: float | None = None
    waiting: float | None = None

    def record(self) -> dict[str, float]:
        """The values of a line of the log."""
        values = {name: v for name, v in asdict(self).items() if v is not None and name != "steps"}
        return values | {name: round(values[name], 3) for name in ("seconds", "tiles_per_s", "waiting") & values.keys()}


@dataclass(frozen=True)
class FitResult:
    """A completed run in `run_dir`: its last `step`, and the scores of best.pt on the validation split.

    The scores are `best_loss`, `val_iou` of the foreground and `val_ap`, the mean AP over IoU thresholds; None without
    a validation split. `updates` were made by this call; 0 if the run was complete already. `ended_early`: `patience`
    validations in a row found no better network. `warnings` are sentences that say why the network is useless although
    every step succeeded; usually empty.
    """

    run_dir: Path
    step: int
    updates: int
    best_loss: float | None
    val_iou: float | None = None
    warnings: tuple[str, ...] = ()
    val_ap: float | None = None
    ended_early: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, for JSON."""
        values = asdict(self) | {"warnings": [*self.warnings]}
        return {"run": str(values.pop("run_dir")), **values}


@raises_own_errors
def fit(
    store: str | Path,
    run_dir: str | Path,
    config: FitConfig | None = None,
    *,
    initial: str | Path | None = None,
    overwrite: bool = False,
    require_validation: bool = False,
    given: Collection[str] = (),
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_notice: Callable[[str], None] = lambda sentence: None,
) -> FitResult:
    """Train a network on the tiles of a store, or continue an interrupted run.

    The run directory receives config.json, log.jsonl, last.pt (the state to continue from), best.pt (the network that
    is best by `config.best_by`) and examples/. They are saved at every validation, at the end and on Ctrl-C, and
    last.pt also as often as `config.checkpoint_every` and `checkpoint_minutes` say. If last.pt is damaged, a warning of
    the logger `unettrain` names it, and the run continues from the state before it. On the CPU the result depends on
    store and configuration alone, whether the run was interrupted, killed or neither. A run that has reached
    `config.steps` is left unchanged. The directory is locked during the training; other processes may read it.

    `initial` is a run directory or .pt file whose weights are trained further (fine-tuning); number of classes and
    channels may differ. The other fields in `config.SHAPE` are taken from it; one that is named in `given`, or has a
    value other than the default, must agree. `on_notice` is called with sentences on what was taken from it, on
    settings without effect, and on how long a long training will take.

    Raises InvalidInput for a store that cannot be trained on or, with `require_validation`, has no validation tiles;
    Conflict if `run_dir` holds another run or another process trains in it; Failure if the training diverges.
    """
    with joined() as group:
        request = _Request(store, run_dir, config or FitConfig(), initial, overwrite, require_validation, given)
        return _fit(request, group, on_progress, on_notice)


@dataclass(frozen=True)
class _Request:
    """What `fit` was asked for."""

    store: str | Path
    run_dir: str | Path
    config: FitConfig
    initial: str | Path | None
    overwrite: bool
    require_validation: bool
    given: Collection[str]


def _fit(
    request: _Request, group: Group, on_progress: Callable[[Progress], None], on_notice: Callable[[str], None]
) -> FitResult:
    store, config, initial = request.store, request.config, request.initial
    device = group.device(config.device)
    if initial is not None and request.overwrite:
        refuse_own_run(initial, request.run_dir)
    source = None if initial is None else find_checkpoint(initial)
    config = config if source is None or initial is None else adopt_network(config, source, initial, request.given)
    stream = TileStream.of(store, config, device, group.ranks)
    config = config.for_classes(stream.tiles.num_classes)
    validation = ValidationTiles(store, stream)
    if request.require_validation and not validation.num_tiles:
        raise InvalidInput(
            f"{store} has no validation tiles, so the validation IoU will not be known",
            hint="hold images out at import: unetprep import --val-fraction 0.2",
        )
    network = config.network(stream.tiles.num_channels, stream.tiles.depth)
    check_memory(network, config, on_gpu=device.type != "cpu")
    begin = None
    if source is not None and initial is not None:
        begin = initial_weights(source, initial, network, config.seed)
        if group.is_first:
            on_notice(begin.text)
    if group.is_first:
        for sentence in settings_notices(config, validation.num_tiles):
            on_notice(sentence)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    tiles = stream.tiles
    trainer = Trainer(network, config, tiles.tile_px, tiles.training_images(), group)
    with locked_run(request.run_dir) if group.is_first else nullcontext() as lock:
        run = _open(replace(request, config=config), stream, trainer, lock, begin)
        first = trainer.step
        with torch.random.fork_rng([trainer.device] if trainer.device.type == "cuda" else []):
            _Loop(run, trainer, stream, validation, on_progress, on_notice, SaveSchedule(config)).run_to_end()
    return _result(run, trainer, first)


def _result(run: RunDir, trainer: Trainer, first: int) -> FitResult:
    best = trainer.best
    warnings = training_warnings(best.iou, trainer.val_iou, trainer.constant, trainer.step)
    updates, early = trainer.step - first, trainer.step < trainer.config.steps
    warnings += (*unscored_warnings(best.loss, best.iou), *overflow_warnings(trainer.num_skipped, updates))
    return FitResult(run.path, trainer.step, updates, best.loss, best.iou, warnings, best.ap, early)


def _open(
    request: _Request, stream: TileStream, trainer: Trainer, lock: Lock | None, begin: InitialWeights | None
) -> RunDir:
    """The run directory, which rank 0 opens. The trainer gets the state saved there, or begins at step 0."""
    network, config = trainer.model.config, request.config
    data = stream.fingerprints | ({KEY: begin.digest} if begin else {})

    opened: list[RunDir] = []

    def open_first() -> Checkpoint | None:
        opened.append(open_run(request.run_dir, request.store, data, network, config, request.overwrite, lock))
        return load_last(opened[0], config, network)

    last = trainer.group.from_first(open_first)
    run = opened[0] if opened else RunDir(Path(request.run_dir))
    trainer.run = run.fingerprint
    if last is not None:
        trainer.restore(last)
    elif begin is not None:
        trainer.begin_with(begin.weights)
    if trainer.group.is_first:
        run.cut_log(trainer.step if trainer.pending_loss is None else trainer.step - 1)
    return run


@dataclass
class _Loop:
    """The remaining updates of a run, with validations, log and checkpoints."""

    run: RunDir
    trainer: Trainer
    stream: TileStream
    validation: ValidationTiles
    on_progress: Callable[[Progress], None]
    on_notice: Callable[[str], None]
    schedule: SaveSchedule
    pace: Pace = field(default_factory=Pace)
    tensorboard: TensorBoardLog | None = None
    has_estimated: bool = False

    def run_to_end(self) -> None:
        """Make the remaining updates. A step that an interrupt left unlogged is finished first."""
        config, group = self.trainer.config, self.trainer.group
        if config.tensorboard and group.is_first:
            self.tensorboard = TensorBoardLog(self.run.path, self.trainer.step)
        try:
            with group.peers():
                self._make_updates()
            if group.is_first:
                self._choose_decoding()
        except (KeyboardInterrupt, PeerLost):
            with deferred_signals():
                if group.is_first and self.trainer.whole and self.trainer.is_finite:
                    self.run.save_last(self.trainer.checkpoint(with_optimizer=True))
            raise
        except Diverged as error:
            if not group.is_first:  # it happens in all processes at once
                mark_reported_elsewhere(error)
                raise
            raise Failure(f"{error}\n  kept:    {self._last_good()}") from None
        finally:
            if self.tensorboard:
                self.tensorboard.close()

    def _make_updates(self) -> None:
        trainer = self.trainer
        if trainer.pending_loss is not None:
            self._finish_step()
        left = 0 if self._ends_early() else max(0, trainer.config.steps - trainer.step)
        if not left and trainer.group.is_first:
            self._restore_best()
        with closing(self.stream.batches(trainer.step, left)) as batches:
            for batch in self.pace.timed(batches):
                trainer.update(batch)
                self._finish_step()
                if trainer.step % trainer.config.validate_every == 0 and self._ends_early():
                    break

    def _restore_best(self) -> None:
        """Replace a best.pt that is missing or damaged by the network of a complete run."""
        trainer = self.trainer
        is_lost = trainer.best.loss is None if self.validation.num_tiles else not self.run.best.exists()
        if is_lost:
            trainer.best, _ = self._validate()
            self.run.save_last(trainer.checkpoint(with_optimizer=True))

    def _ends_early(self) -> bool:
        """Whether no better network was found for long, which rank 0 alone knows."""
        patience, group = self.trainer.config.patience, self.trainer.group
        return bool(patience) and group.from_first(lambda: self.trainer.best.num_worse >= patience)

    def _last_good(self) -> str:
        saved = [path for path in (self.run.last, self.run.best) if path.exists()]
        return f"{' and '.join(map(str, saved))}, from before" if saved else "nothing: no checkpoint was saved yet"

    def _finish_step(self) -> None:
        """Validate and save if due, log the step and report it. Only rank 0 does; the others go on to the next step."""
        trainer, config = self.trainer, self.trainer.config
        assert trainer.pending_loss is not None
        if not trainer.group.is_first:
            trainer.pending_loss = None
            return
        due = trainer.step % config.validate_every == 0 or trainer.step == config.steps
        best, scores = self._validate() if due else (trainer.best, {})
        each = self.pace.seconds_per_step
        rate = config.batch_size / each if each else None
        progress = Progress(trainer.step, config.steps, trainer.pending_loss, self.pace.seconds, **scores)
        progress = replace(progress, tiles_per_s=rate, waiting=self.pace.waiting if each else None)
        if due or trainer.step % config.log_every == 0:
            self.run.append_log(progress.record())
            if self.tensorboard:
                self.tensorboard.write(progress.record())
        trainer.best, trainer.pending_loss = best, None
        if due or self.schedule.is_due(trainer.step):
            trainer.check_finite()
            self.run.save_last(trainer.checkpoint(with_optimizer=True))
            self.schedule.saved()
        self.on_progress(progress)
        self._estimate()

    def _validate(self) -> tuple[BestScores, dict[str, float]]:
        """Scores of the best network and of this one, none without a validation split. Saves this one if it is best."""
        trainer, stream, config = self.trainer, self.validation.stream(), self.trainer.config
        trainer.check_finite()
        if stream is None:
            trainer.constant = trainer.is_constant(self.validation.sample())
            self.run.save_best(trainer.checkpoint(with_optimizer=False))
            return trainer.best, {}
        examples = Examples(self.validation.places(config.examples))
        found = trainer.validate(stream, examples.look)
        trainer.val_iou, trainer.val_ap, trainer.constant = found.iou, found.ap, found.constant
        best = trainer.best.after(found, config.best_by)
        if best.num_worse == 0:
            self.run.save_best(trainer.checkpoint(with_optimizer=False, best=best))
        if config.examples:
            examples.write(self.run.path, trainer.step)
        scores = {"val_loss": found.loss, "val_iou": found.iou, "val_ap": found.ap}
        return best, {name: value for name, value in scores.items() if value is not None}

    def _choose_decoding(self) -> None:
        """Record the decoding of instances that is best on the validation split in best.pt, unless it is there."""
        if not self.validation.num_tiles or not self.run.best.exists():
            return
        best = load_checkpoint(self.run.best)
        found = None
        if not best.decoding:
            found = self.trainer.choose_decoding(self.validation.some(DECODED_TILES), best.build())
        if found is not None:
            self.run.save_best(replace(best, decoding=asdict(found)))

    def _estimate(self) -> None:
        """Say once how long the training will take."""
        if self.has_estimated or self.pace.seconds_per_step is None:
            return
        self.has_estimated = True
        trainer, left = self.trainer, self.trainer.config.steps - self.trainer.step
        sentence = time_notice(self.pace, left, trainer.config, on_gpu=trainer.device.type != "cpu")
        if sentence:
            self.on_notice(sentence)
