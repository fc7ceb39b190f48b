"""A network in training: one update (Ronneberger et al. 2015, section 3), one validation, and its checkpoint.

The paper trains by SGD with momentum 0.99 and gives no step size. With so much momentum and no normalisation layers one
steep step can drive every ReLU to 0 for good, so a gradient longer than `clip_norm` is cut (DESIGN.md has the figures).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unettrain import rng
from unettrain.checkpoint import Checkpoint
from unettrain.config import FitConfig, UNetConfig
from unettrain.errors import Failure, InvalidInput
from unettrain.intensity import NO_IMAGES, TrainingImages
from unettrain.loss import normalize, weighted_cross_entropy, weighted_sums
from unettrain.making import Batch
from unettrain.metrics.overlap import Overlap, overlap
from unettrain.model import UNet
from unettrain.stream import TileStream

ADVICE = "a lower learning-rate, a longer warmup-steps, or a clip-norm"


@dataclass(frozen=True)
class Validation:
    """Loss over a whole split, normalised as in training, and the overlap of the cells where the weight is not 0."""

    loss: float
    cells: Overlap


class Training:
    """The network, its optimizer, and how many updates were made.

    `pending_loss` is the loss of the last update as long as nobody has validated and logged it. `whole` is False while
    an update is under way: the state then belongs to no step.
    """

    def __init__(
        self, network: UNetConfig, config: FitConfig, tile_px: int, images: TrainingImages = NO_IMAGES
    ) -> None:
        self.config, self.tile_px, self.images = config, tile_px, images
        self.device = pick_device(config.device)
        self.model = UNet(network, config.seed).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.model, config)
        self.step = 0
        self.best_loss: float | None = None
        self.pending_loss: float | None = None
        self.whole = True

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from where a checkpoint was taken."""
        self.model.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.step = checkpoint.step
        self.best_loss, self.pending_loss = checkpoint.best_loss, checkpoint.pending_loss

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
            self.images.dtype,
            self.images.as_values(),
        )

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
        self.whole = False
        self.optimizer.step()
        self.step, self.pending_loss, self.whole = self.step + 1, value, True

    @torch.no_grad()
    def validate(self, stream: TileStream) -> Validation:
        """Loss and overlap over one pass of a stream that ends, without dropout."""
        self.model.eval()
        weighted, weight = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        cells, num_pixels, num_batches = Overlap(), 0, 0
        for batch in stream:
            scores, target, weights = self._forward(batch)
            sums = weighted_sums(scores, target, weights)
            weighted, weight = weighted + sums[0].cpu(), weight + sums[1].cpu()
            counted = weights > 0
            truth, proposal = (a[counted].cpu().numpy() for a in (target, scores.argmax(1)))
            cells += overlap(truth > 0, proposal > 0)
            num_pixels, num_batches = num_pixels + target.numel(), num_batches + 1
        loss = float(normalize(weighted, weight, num_pixels, self.config.normalizer))
        if not math.isfinite(loss):
            raise Failure(f"the training diverged: after step {self.step} the validation loss is {loss}", hint=ADVICE)
        return Validation(loss / num_batches if self.config.normalizer == "none" else loss, cells)

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
