"""Training state: one update (Ronneberger et al. 2015, section 3), one validation, and its checkpoint.

The paper trains by SGD with momentum 0.99 and gives no step size. With so much momentum and no normalisation layers one
steep step can drive every ReLU to 0 for good, so a gradient longer than `clip_norm` is cut (DESIGN.md has the figures).
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
from unettrain.errors import Failure, InvalidInput
from unettrain.loss import normalize, weighted_cross_entropy, weighted_sums
from unettrain.metrics.overlap import Overlap, overlap
from unettrain.model import UNet
from unettrain.outcome import ADVICE
from unettrain.stream.batches import Batch
from unettrain.stream.tile_stream import TileStream

STATE_ERRORS = (ValueError, TypeError, LookupError, AttributeError, RuntimeError)
SAME = 1e-6  # outputs that differ by less, relative to their size, count as one


@dataclass(frozen=True)
class Validation:
    """Loss over a whole split, normalised as in training, and the overlap of the cells where the weight is not 0.

    `constant` says whether every pixel had the same output, although the images vary.
    """

    loss: float
    cells: Overlap
    constant: bool = False


class Training:
    """The network, its optimizer, and how many updates were made.

    `pending_loss` is the loss of the last update as long as nobody has validated and logged it. `whole` is False while
    an update is under way: the state then belongs to no step.
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
        """Go on from where a checkpoint was taken. Raises InvalidInput if it holds no state of such an optimizer."""
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
                f"the checkpoint does not hold the state of the optimizer {self.config.optimizer}, so that the"
                " training cannot go on from it",
                allowed="last.pt of this run; best.pt holds a network alone",
                hint="restore last.pt from a backup, or start the run anew with --overwrite",
            )
        self.step = checkpoint.step
        self.best_loss, self.pending_loss = checkpoint.best_loss, checkpoint.pending_loss
        self.best_iou, self.val_iou, self.constant = checkpoint.best_iou, checkpoint.val_iou, checkpoint.constant

    def checkpoint(self, with_optimizer: bool) -> Checkpoint:
        """The state as it is; without the optimizer's it is enough to predict and half as large."""
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
        """Raise Failure if a weight is not finite: the loss shows it only at the next step."""
        if not self.is_finite:
            raise Failure(f"the training diverged: after step {self.step} weights are not finite", hint=ADVICE)

    def update(self, batch: Batch) -> None:
        """Make one update. Sets torch's global seed, from (seed, step), for dropout."""
        torch.manual_seed(int(rng.generator(rng.DROPOUT, self.config.seed, self.step).integers(2**63)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.step, self.config)
        self.model.train()
        scores, target, weights = self._forward(batch)
        loss = weighted_cross_entropy(scores, target, weights, self.config.normalizer)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm or math.inf)
        value = loss.item()
        if not math.isfinite(value + norm.item()):
            raise Failure(f"the training diverged: at step {self.step} the loss is {value}", hint=ADVICE)
        with deferred_signals():  # within a step the weights belong to no step, and cannot be saved
            self.whole = False
            self.optimizer.step()
            self.step, self.pending_loss, self.whole = self.step + 1, value, True

    @torch.no_grad()
    def validate(self, stream: TileStream) -> Validation:
        """Loss and overlap over one pass of a stream that ends, without dropout."""
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
        if int(batch.target.max()) >= self.config.num_classes:
            raise InvalidInput(
                f"a tile holds class {int(batch.target.max())}",
                allowed=f"0 to {self.config.num_classes - 1}, since num-classes is {self.config.num_classes}",
            )
        image = batch.image.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            scores = self.model(image)
        return scores, batch.target.to(self.device), batch.weights.to(self.device)


class _Spread:
    """Least and greatest output of each class over some batches."""

    def __init__(self) -> None:
        self._images_vary = False
        self._low: Tensor | None = None
        self._high: Tensor | None = None

    def add(self, image: Tensor, scores: Tensor) -> None:
        """Take in the scores (b, class, y, x) of a batch of images (b, c, y, x)."""
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


def rate_at(step: int, config: FitConfig) -> float:
    """The step size of an update: a straight line up over `warmup_steps`, then constant."""
    return config.peak_rate * min(1.0, (step + 1) / max(1, config.warmup_steps))


def make_optimizer(model: UNet, config: FitConfig) -> torch.optim.Optimizer:
    """SGD with momentum (the paper) or Adam (the authors' later plugin, Falk et al. 2019)."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), config.peak_rate, config.momentum)
    return torch.optim.Adam(model.parameters(), config.peak_rate)


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where torch sees one. Raises InvalidInput where there is none such."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InvalidInput(f"device is {name!r}", allowed="auto, cpu, cuda, cuda:1, mps ...") from None
    usable = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not usable.get(device.type, False) or (
        device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    ):
        raise InvalidInput(f"torch sees no device {name!r} here", allowed="auto, cpu, or a device that is there")
    return device
