"""Loss, optimizer and defaults of the training (section 3)."""

import math
from collections.abc import Iterator

import torch

from unettrain.config import FitConfig, UNetConfig
from unettrain.loss import weighted_cross_entropy
from unettrain.model import UNet
from unettrain.optimizer import make_optimizer
from unettrain.paper_check.line import Line, compared
from unettrain.stream.batches import Batch
from unettrain.trainer import Trainer

PAPER_TRAINING = {
    "optimizer": "sgd",
    "momentum": 0.99,
    "batch_size": 1,
    "dropout": 0.5,
    "base_channels": 64,
    "padding": "valid",
    "normalization": "none",
    "clip_norm": 0.0,
    "normalizer": "none",
    "deform": True,
    "gray_values": True,
}
RATE = 1e-4
DELIBERATE = {
    "clip_norm": "clipping keeps sgd with so much momentum from diverging; --clip-norm 0 turns it off",
    "normalizer": "one learning rate then suits all tiles and weights; --normalizer none is the printed formula",
}
MEASURED = "the default was chosen by measurement (trainer/DESIGN.md)"


def training_lines() -> Iterator[Line]:
    """Worked examples, and each choice of `--preset paper` and of the defaults beside the paper's."""
    yield _loss()
    yield _momentum()
    yield _update()
    defaults = FitConfig()
    yield compared("learning rate", "section 3", "not given", f"{defaults.learning_rate:g} by default", True, MEASURED)
    preset = FitConfig.preset("paper")
    for name, value in PAPER_TRAINING.items():
        found, default, option = getattr(preset, name), getattr(defaults, name), name.replace("_", "-")
        kept = DELIBERATE.get(name, "") if found != value else ""
        reason = kept or (f"{MEASURED}; --preset paper gives the paper's" if default != value else "")
        text = f"{found} by --preset paper, {default} by default"
        yield compared(f"choice of {option}", "section 3", str(value), text, found == value or bool(kept), reason)


def _loss() -> Line:
    """Two pixels of scores (0, ln 3), so that p = (1/4, 3/4): class 1 with weight 2, and class 0 with weight 1."""
    scores = torch.tensor([0.0, math.log(3)]).reshape(1, 2, 1, 1).expand(1, 2, 1, 2)
    target, weights = torch.tensor([[[1, 0]]]), torch.tensor([[[2.0, 1.0]]])
    says = -2 * math.log(3 / 4) - math.log(1 / 4)
    found = float(weighted_cross_entropy(scores, target, weights, "none"))
    return compared(
        "loss of a worked example",
        "Eq. 1",
        f"sum of w * -log softmax, 2 ln(4/3) + ln 4 = {says:.5f}",
        f"{found:.5f}",
        abs(found - says) < 1e-5,
    )


def _momentum() -> Line:
    """Two steps along the same gradient: the second moves 1 + momentum as far as the first."""
    config = FitConfig(optimizer="sgd", momentum=0.99, learning_rate=1.0)
    model = UNet(UNetConfig(base_channels=1, depth=1))
    optimizer = make_optimizer(model, config)
    bias, places = model.head.bias, [0.0]
    assert bias is not None
    for _ in range(2):
        bias.grad = torch.ones_like(bias)
        optimizer.step()
        places.append(float(bias.detach()[0]))
    ratio = (places[2] - places[1]) / (places[1] - places[0])
    says = "SGD with momentum 0.99: a second equal step goes 1.99 times as far"
    return compared("momentum", "section 3", says, f"{ratio:.4f}", abs(ratio - 1.99) < 1e-4)


def _update() -> Line:
    """One update of the trainer with the paper's choices, beside w - rate * gradient computed from the formula."""
    network = UNetConfig(base_channels=2, depth=1, dropout=0.0)
    chosen = {"optimizer": "sgd", "momentum": 0.99, "normalizer": "none", "clip_norm": 0.0}
    config = FitConfig(learning_rate=RATE, device="cpu", **chosen)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 28, 28, generator=generator)
    target = torch.randint(0, 2, (1, 12, 12), generator=generator)
    weights = 10 * torch.rand(1, 12, 12, generator=generator)

    model = UNet(network, config.seed)
    log_p = model(image).log_softmax(1)
    loss = -(weights * log_p.gather(1, target[:, None])[:, 0]).sum()
    gradient = torch.autograd.grad(loss, list(model.parameters()))

    trainer = Trainer(network, config, 28)
    with torch.random.fork_rng([]):
        trainer.update(Batch(image, target, weights, torch.zeros(1, dtype=torch.int64)))
    moved = [
        after.detach() - before.detach()
        for after, before in zip(trainer.model.parameters(), model.parameters(), strict=True)
    ]
    off = max(float((m + RATE * g).abs().max()) for m, g in zip(moved, gradient, strict=True))
    length = max(float(m.abs().max()) for m in moved)
    says = "each weight moves by -rate * dE/dw, E summed over the tile"
    return compared("one update", "section 3", says, f"to {off / length:.0e} of the largest move", off < 1e-4 * length)
