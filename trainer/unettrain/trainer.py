"""Trainer: the network with its optimizer; updates (Ronneberger et al. 2015, section 3), validation and checkpoints.

The paper trains by SGD with momentum 0.99 and gives no learning rate. With so much momentum and no normalisation layers
one steep update can leave every ReLU dead, so gradients longer than `clip_norm` are clipped (figures in DESIGN.md).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor

from unetprep.storage.signals import deferred_signals
from unettrain import rng
from unettrain.checkpoint import Checkpoint
from unettrain.config import FitConfig, UNetConfig
from unettrain.data.intensity import NO_IMAGES, TrainingImages
from unettrain.decoding.params import DecodingParams
from unettrain.decoding.selection import DecodingScores, candidate_decodings, validation_decodings
from unettrain.distributed import Group
from unettrain.ema import averaged_copy, update_average
from unettrain.errors import Failure, InvalidInput
from unettrain.loss import divisor, weighted_sums
from unettrain.model import UNet, tile_scores
from unettrain.optimizer import learning_rate_at, make_optimizer
from unettrain.outcome import ADVICE
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream
from unettrain.validation import BestScores, Look, Spread, Validation, validate

STATE_ERRORS = (ValueError, TypeError, LookupError, AttributeError, RuntimeError)
AMP_DTYPES = {"none": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Diverged(Failure):
    """The loss, its gradient or the weights are not finite."""


class Trainer:
    """A network, its optimizer and the number of updates made.

    `pending_loss` is the loss of the last update until that update is validated and logged. `whole` is False during an
    update, when the state belongs to no step and cannot be saved. `best` holds the scores of the best network so far.
    """

    def __init__(
        self,
        network: UNetConfig,
        config: FitConfig,
        tile_px: int,
        images: TrainingImages = NO_IMAGES,
        group: Group | None = None,
    ) -> None:
        self.config, self.tile_px, self.images, self.group = config, tile_px, images, group or Group()
        self.run = ""  # fingerprint of the run's configuration and data
        self.device = self.group.device(config.device)
        model = self.group.prepare(UNet(network, config.seed), self.device)
        self.model: UNet = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = averaged_copy(self.model) if config.ema else None
        self.optimizer = make_optimizer(self.model, config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.amp == "fp16")
        compiled = torch.compile(self.model) if config.compile else self.model
        self._trained = self.group.averaging(compiled, self.device)
        self.step = 0
        self.num_skipped = 0  # updates of this process whose gradient overflowed in fp16
        self.pending_loss: float | None = None
        self.best = BestScores()
        self.val_iou: float | None = None
        self.val_ap: float | None = None
        self.constant: bool | None = None
        self.whole = True

    @property
    def evaluated(self) -> UNet:
        """The network that is validated and kept: that of the averaged weights, if there are any."""
        return self.averaged or self.model

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint. Raises InvalidInput if it does not hold the state of such an optimizer."""
        self.model.load_state_dict(checkpoint.weights)
        if self.averaged:
            self.averaged.load_state_dict(checkpoint.ema or checkpoint.weights)
        try:
            self.optimizer.load_state_dict(checkpoint.optimizer)
            if checkpoint.scaler:
                self.scaler.load_state_dict(checkpoint.scaler)
            fits = all(
                value.ndim == 0 or value.shape == parameter.shape
                for parameter, state in self.optimizer.state.items()
                for value in state.values()
                if isinstance(value, Tensor)
            )
        except STATE_ERRORS:
            fits = False
        if not fits:
            raise InvalidInput(
                f"the checkpoint does not hold the state of the optimizer {self.config.optimizer}, so the"
                " training cannot continue from it",
                allowed="last.pt of this run; best.pt holds a network alone",
                hint="restore last.pt from a backup, or start the run again with --overwrite",
            )
        self.step, self.pending_loss = checkpoint.step, checkpoint.pending_loss
        self.best = BestScores(checkpoint.best_loss, checkpoint.best_iou, checkpoint.best_ap, checkpoint.num_worse)
        self.val_iou, self.val_ap, self.constant = checkpoint.val_iou, checkpoint.val_ap, checkpoint.constant

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Replace the initial weights."""
        self.model.load_state_dict(weights)
        if self.averaged:
            self.averaged.load_state_dict(weights)

    def checkpoint(self, with_optimizer: bool, best: BestScores | None = None) -> Checkpoint:
        """The current state; without the optimizer's state the network that is kept, which suffices to predict.

        `best` are the scores of the best network, where they are not recorded in the trainer yet.
        """
        best = best or self.best
        with_average = with_optimizer and self.averaged is not None
        return Checkpoint(
            self.model.config,
            (self.model if with_optimizer else self.evaluated).state_dict(),
            self.tile_px,
            self.step,
            self.config.seed,
            best.loss,
            self.pending_loss if with_optimizer else None,
            self.optimizer.state_dict() if with_optimizer else {},
            self.images.rule,
            run=self.run,
            best_iou=best.iou,
            val_iou=self.val_iou,
            constant=self.constant,
            image_dtype=self.images.dtype,
            training_intensity=self.images.as_values(),
            best_ap=best.ap,
            val_ap=self.val_ap,
            num_worse=best.num_worse,
            ema=self.evaluated.state_dict() if with_average else {},
            scaler=self.scaler.state_dict() if with_optimizer else {},
        )

    @property
    def is_finite(self) -> bool:
        """Whether all weights are finite."""
        return bool(torch.stack([p.isfinite().all() for p in self.model.parameters()]).all())

    def check_finite(self) -> None:
        """Raise Failure if a weight is not finite, which the loss would show only at the next step."""
        if not self.is_finite:
            raise Diverged(f"the training diverged: after step {self.step} weights are not finite", hint=ADVICE)

    def update(self, batch: Batch) -> None:
        """Make one update with this process's part of a batch. Sets torch's global seed for dropout.

        The seed follows from (seed, step, rank), so several processes drop other activations than a single one.
        """
        draws = rng.generator(rng.DROPOUT, self.config.seed, self.step, self.group.ranks.rank)
        torch.manual_seed(int(draws.integers(2**63)))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.step, self.config)
        self.model.train()
        self.optimizer.zero_grad()
        value = self._gradient(batch)
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm or math.inf).item()
        self._check_gradient(value, norm)
        with deferred_signals():
            self.whole = False
            self.num_skipped += not math.isfinite(norm)
            self.scaler.step(self.optimizer)  # skips an update whose scaled gradient overflowed in fp16
            self.scaler.update()
            if self.averaged:
                update_average(self.averaged, self.model, self.config.ema, self.step)
            self.step, self.pending_loss, self.whole = self.step + 1, value, True

    def _gradient(self, batch: Batch) -> float:
        """Compute the gradient of the loss of a batch, part by part, and return the loss over all processes."""
        size, parts = self.group.size, self.config.accumulate
        weight = self.group.summed(batch.weights.float().sum().to(self.device))
        # The divisor is that of the batch of all processes, divided by their number as their gradients are averaged.
        by = divisor(weight, batch.target.numel() * size, self.config.normalizer) / size
        loss = torch.zeros((), device=self.device)
        for k, part in enumerate(_parts(batch, parts)):
            with self.group.local_gradient(self._trained) if k < parts - 1 else nullcontext():
                part_loss = weighted_sums(*self._forward(self._trained, part))[0] / by
                self.scaler.scale(part_loss).backward()  # type: ignore[no-untyped-call]
            loss += part_loss.detach()
        return self.group.summed(loss).item() / size

    def _check_gradient(self, loss: float, norm: float) -> None:
        """Raise Diverged for a loss or gradient that is not finite; fp16 may overflow until its scale has adapted."""
        overflow = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        if not math.isfinite(loss) or not (math.isfinite(norm) or overflow):
            what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient has the norm {norm}"
            raise Diverged(f"the training diverged: at step {self.step} the {what}", hint=ADVICE)

    def validate(self, stream: TileStream, look: Look = lambda batch, scores, target: None) -> Validation:
        """Scores over a finite stream, without dropout, with the default decoding or one that keeps smaller cells."""
        instances = DecodingScores(validation_decodings())
        return validate(self.predict, stream, self.config.normalizer, self.step, instances, look)

    def choose_decoding(self, batches: Iterable[Batch], network: UNet) -> DecodingParams | None:
        """The decoding with which a network has the highest AP over some batches; None if they hold no cell."""
        network = network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        scores = DecodingScores(candidate_decodings(DecodingParams()))
        validate(lambda batch: self._forward(network, batch), batches, self.config.normalizer, self.step, scores)
        return scores.best()

    @torch.no_grad()
    def predict(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (b, class, y, x) without dropout, target and weights (b, y, x) of a batch."""
        return self._forward(self.evaluated.eval(), batch)

    def is_constant(self, batch: Batch) -> bool:
        """Whether the network gives every pixel of a batch of varying images the same output."""
        spread = Spread()
        spread.add(batch.image, self.predict(batch)[0])
        return spread.is_constant

    def _forward(self, model: Callable[[Tensor], Tensor], batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        num_classes = self.model.config.num_classes
        if int(batch.target.max()) >= num_classes:
            raise InvalidInput(
                f"a tile holds class {int(batch.target.max())}",
                allowed=f"0 to {num_classes - 1}, since num-classes is {num_classes}",
            )
        image = batch.image.to(self.device, memory_format=torch.channels_last)
        amp = self.config.amp
        with torch.autocast(self.device.type, AMP_DTYPES[amp], enabled=amp != "none"):
            scores = tile_scores(model, image, self.model.config)
        return scores, batch.target.to(self.device), batch.weights.to(self.device)


def _parts(batch: Batch, num: int) -> Iterator[Batch]:
    """A batch in equal parts."""
    size = len(batch.indices) // num
    for first in range(0, num * size, size):
        some = slice(first, first + size)
        yield Batch(batch.image[some], batch.target[some], batch.weights[some], batch.indices[some])
