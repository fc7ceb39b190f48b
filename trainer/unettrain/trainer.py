"""Trainer: the network with its optimizer; updates (Ronneberger et al. 2015, section 3), validation and checkpoints.

The paper trains by SGD with momentum 0.99 and gives no learning rate. With so much momentum and no normalisation layers
one steep update can leave every ReLU dead, so gradients longer than `clip_norm` are clipped (figures in DESIGN.md).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unetprep.storage.signals import deferred_signals
from unettrain import rng
from unettrain.checkpoint import Checkpoint
from unettrain.config import FitConfig, UNetConfig
from unettrain.data.intensity import NO_IMAGES, TrainingImages
from unettrain.device import pick_device
from unettrain.errors import Failure, InvalidInput
from unettrain.loss import normalize, weighted_cross_entropy, weighted_sums
from unettrain.metrics.overlap import Overlap, overlap
from unettrain.model import UNet, tile_scores
from unettrain.optimizer import learning_rate_at, make_optimizer
from unettrain.outcome import ADVICE
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream

STATE_ERRORS = (ValueError, TypeError, LookupError, AttributeError, RuntimeError)
SAME = 1e-6  # relative difference below which outputs count as equal


@dataclass(frozen=True)
class Validation:
    """Loss over a split, normalised as in training, and overlap of the cells where the weight is not 0.

    `constant`: every pixel had the same output although the images vary.
    """

    loss: float
    cells: Overlap
    constant: bool = False


class Trainer:
    """A network, its optimizer and the number of updates made.

    `pending_loss` is the loss of the last update until that update is validated and logged. `whole` is False during an
    update, when the state belongs to no step and cannot be saved.
    """

    def __init__(
        self, network: UNetConfig, config: FitConfig, tile_px: int, images: TrainingImages = NO_IMAGES
    ) -> None:
        self.config, self.tile_px, self.images = config, tile_px, images
        self.run = ""  # fingerprint of the run's configuration and data
        self.device = pick_device(config.device)
        self.model = UNet(network, config.seed).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.model, config)
        self.step = 0
        self.best_loss: float | None = None
        self.pending_loss: float | None = None
        self.best_iou: float | None = None
        self.val_iou: float | None = None
        self.constant: bool | None = None
        self.whole = True

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint. Raises InvalidInput if it does not hold the state of such an optimizer."""
        self.model.load_state_dict(checkpoint.weights)
        try:
            self.optimizer.load_state_dict(checkpoint.optimizer)
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
        self.step = checkpoint.step
        self.best_loss, self.pending_loss = checkpoint.best_loss, checkpoint.pending_loss
        self.best_iou, self.val_iou, self.constant = checkpoint.best_iou, checkpoint.val_iou, checkpoint.constant

    def checkpoint(self, with_optimizer: bool) -> Checkpoint:
        """The current state. Without the optimizer's state it is sufficient to predict, and half as large."""
        return Checkpoint(
            self.model.config,
            self.model.state_dict(),
            self.tile_px,
            self.step,
            self.config.seed,
            self.best_loss,
            self.pending_loss if with_optimizer else None,
            self.optimizer.state_dict() if with_optimizer else {},
            self.images.rule,
            run=self.run,
            best_iou=self.best_iou,
            val_iou=self.val_iou,
            constant=self.constant,
            image_dtype=self.images.dtype,
            training_intensity=self.images.as_values(),
        )

    @property
    def is_finite(self) -> bool:
        """Whether all weights are finite."""
        return bool(torch.stack([p.isfinite().all() for p in self.model.parameters()]).all())

    def check_finite(self) -> None:
        """Raise Failure if a weight is not finite, which the loss would show only at the next step."""
        if not self.is_finite:
            raise Failure(f"the training diverged: after step {self.step} weights are not finite", hint=ADVICE)

    def update(self, batch: Batch) -> None:
        """Make one update. Sets torch's global seed for dropout, from (seed, step)."""
        torch.manual_seed(int(rng.generator(rng.DROPOUT, self.config.seed, self.step).integers(2**63)))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.step, self.config)
        self.model.train()
        scores, target, weights = self._forward(batch)
        loss = weighted_cross_entropy(scores, target, weights, self.config.normalizer)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm or math.inf)
        value = loss.item()
        if not math.isfinite(value + norm.item()):
            raise Failure(f"the training diverged: at step {self.step} the loss is {value}", hint=ADVICE)
        with deferred_signals():
            self.whole = False
            self.optimizer.step()
            self.step, self.pending_loss, self.whole = self.step + 1, value, True

    @torch.no_grad()
    def validate(self, stream: TileStream) -> Validation:
        """Loss and overlap over a finite stream, without dropout."""
        self.model.eval()
        weighted, weight = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        cells, num_pixels, num_batches, spread = Overlap(), 0, 0, _Spread()
        for batch in stream:
            scores, target, weights = self._forward(batch)
            sums = weighted_sums(scores, target, weights)
            weighted, weight = weighted + sums[0].cpu(), weight + sums[1].cpu()
            spread.add(batch.image, scores)
            counted = weights > 0
            truth, proposal = (a[counted].cpu().numpy() for a in (target, scores.argmax(1)))
            cells += overlap(truth > 0, proposal > 0)
            num_pixels, num_batches = num_pixels + target.numel(), num_batches + 1
        loss = float(normalize(weighted, weight, num_pixels, self.config.normalizer))
        if not math.isfinite(loss):
            raise Failure(f"the training diverged: after step {self.step} the validation loss is {loss}", hint=ADVICE)
        loss = loss / num_batches if self.config.normalizer == "none" else loss
        return Validation(loss, cells, spread.is_constant)

    @torch.no_grad()
    def is_constant(self, batch: Batch) -> bool:
        """Whether the network gives every pixel of a batch of varying images the same output."""
        self.model.eval()
        spread = _Spread()
        spread.add(batch.image, self._forward(batch)[0])
        return spread.is_constant

    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        num_classes = self.model.config.num_classes
        if int(batch.target.max()) >= num_classes:
            raise InvalidInput(
                f"a tile holds class {int(batch.target.max())}",
                allowed=f"0 to {num_classes - 1}, since num-classes is {num_classes}",
            )
        image = batch.image.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            scores = tile_scores(self.model, image, self.model.config)
        return scores, batch.target.to(self.device), batch.weights.to(self.device)


class _Spread:
    """Minimum and maximum output of each class over several batches."""

    def __init__(self) -> None:
        self._images_vary = False
        self._low: Tensor | None = None
        self._high: Tensor | None = None

    def add(self, image: Tensor, scores: Tensor) -> None:
        """Add the scores (b, class, y, x) of a batch of images (b, c, y, x)."""
        self._images_vary = self._images_vary or bool(image.min() < image.max())
        low, high = scores.amin((0, 2, 3)).float(), scores.amax((0, 2, 3)).float()
        self._low = low if self._low is None else torch.minimum(low, self._low)
        self._high = high if self._high is None else torch.maximum(high, self._high)

    @property
    def is_constant(self) -> bool:
        """Whether the images vary and no output does."""
        if self._low is None or self._high is None or not self._images_vary:
            return False
        return bool((self._high - self._low <= SAME * self._high.abs().clamp(min=1)).all())
