"""What the layers compute: pooling, ReLU, concatenation, dropout, initial weights, and nothing else."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from unettrain.config import UNetConfig
from unettrain.model import UNet
from unettrain.paper_check.line import Line, compared
from unettrain.paper_check.trace import blocks, trace

NARROW = UNetConfig(base_channels=2)
TILE_PX = 188
CONVOLVING = ("down", "bottom", "merge")  # blocks of two 3x3 convolutions
ROUNDING = 1e-4  # relative


def layer_lines() -> Iterator[Line]:
    """Narrow networks on the CPU, and the initial weights of the full one."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, TILE_PX, TILE_PX, generator=generator)
    model = UNet(NARROW).eval()
    inputs, outputs = trace(model, image)
    yield _pooling(inputs, outputs)
    yield _relu(model, image)
    yield _up_convolutions(inputs, "paper", "section 2", "no ReLU after an up-convolution is mentioned")
    release = UNet(UNetConfig(base_channels=2, variant="release")).eval()
    yield _up_convolutions(trace(release, image)[0], "release", "release", "a ReLU after each up-convolution")
    yield _concatenation(inputs, outputs)
    yield _no_padding(model, generator)
    yield _no_normalisation(model, image)
    yield from _dropout(image)
    yield from _initial_weights()


def _pooling(inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> Line:
    skip, pooled = outputs["down.2"], inputs["down.3"]
    expected = skip.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))
    holds = expected.shape == pooled.shape and torch.equal(expected, pooled)
    return compared("pooling", "section 2", "maximum of 2 x 2, stride 2", _equality(holds, "the maximum"), holds)


def _relu(model: UNet, image: Tensor) -> Line:
    """Whether what comes after each 3x3 convolution, within its block or after it, sees no negative value."""
    least: list[float] = []
    seconds = [
        [m for m in block.modules() if isinstance(m, nn.Conv2d)][1]
        for name, block in blocks(model).items()
        if name.startswith(CONVOLVING)
    ]
    hooks = [m.register_forward_pre_hook(lambda _, args: least.append(float(args[0].min()))) for m in seconds]
    _, outputs = trace(model, image)
    for hook in hooks:
        hook.remove()
    least += [float(out.min()) for name, out in outputs.items() if name.startswith(CONVOLVING)]
    num = sum(value >= 0 for value in least)
    says = "a ReLU after each of the 18 convolutions of 3x3"
    return compared("ReLU", "section 2", says, f"after {num} of {len(least)}", num == len(least) == 18)


def _up_convolutions(inputs: dict[str, Tensor], variant: str, source: str, says: str) -> Line:
    name = "up-convolutions" if variant == "paper" else f"up-convolutions of --variant {variant}"
    least = min(float(seen[:, : seen.shape[1] // 2].min()) for at, seen in inputs.items() if at.startswith("merge"))
    found = "no ReLU" if least < 0 else "a ReLU"
    return compared(name, source, says, found, (least < 0) == (variant == "paper"))


def _concatenation(inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> Line:
    merged, up = inputs["merge.0"], outputs["up.0"]
    first = torch.equal(merged[:, : up.shape[1]], up)
    last = torch.equal(merged[:, -up.shape[1] :], up)
    found = "[upsampled, skip]" if first else "[skip, upsampled]" if last else "neither"
    return compared("order of the concatenation", "release", "[upsampled, skip]", found, first)


@torch.no_grad()
def _no_padding(model: UNet, generator: torch.Generator) -> Line:
    large = torch.rand(1, 1, TILE_PX + 32, TILE_PX + 32, generator=generator)
    whole, part = model(large), model(large[:, :, 16:-16, 16:-16])
    off = float((whole[:, :, 16:-16, 16:-16] - part).abs().max() / whole.abs().max())
    says = "none: where a tile ends changes no score"
    return compared("padding", "section 2", says, f"a part of a larger tile differs by {off:.0e}", off < ROUNDING)


@torch.no_grad()
def _no_normalisation(model: UNet, image: Tensor) -> Line:
    """A network of convolutions without bias, ReLU and pooling alone is homogeneous: scores(2 x) = 2 scores(x)."""
    once, twice = model(image), model(2 * image)
    off = float((twice - 2 * once).abs().max() / once.abs().max())
    found = f"scores of a doubled image are doubled, to {off:.0e}" if off < ROUNDING else "scores are not proportional"
    return compared("normalisation layers", "section 2", "none", found, off < ROUNDING)


def _dropout(image: Tensor) -> Iterator[Line]:
    """Blocks give ones, so that what the next ones see shows where dropout stands, and at which rate."""

    def ones(name: str, output: Tensor) -> Tensor:
        return torch.ones_like(output) if name.startswith(("down", "bottom")) else output

    model = UNet(UNetConfig(base_channels=8)).train()
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        inputs, _ = trace(model, image, ones)
    skips = {name: seen[:, -blocks_width(model, name) :] for name, seen in inputs.items() if name.startswith("merge")}
    rates = {name: float((skip == 0).float().mean()) for name, skip in skips.items()} | {
        "bottom": float((inputs["up.3"] == 0).float().mean())
    }
    dropped = {name for name, rate in rates.items() if rate}
    kept = {float(v) for at in dropped for v in skips.get(at, inputs["up.3"]).flatten().tolist()}
    text = ", ".join(f"{rates[name]:.2f} after {_where(name)}" for name in rates if name in dropped) or "none"
    half = all(abs(rates[name] - 0.5) < 0.05 for name in dropped)
    holds = dropped == {"merge.3", "bottom"} and half and kept == {0.0, 2.0}
    yield compared("dropout", "release", "0.5 after the level of 512 channels and after that of 1024", text, holds)
    pooled, skip = inputs["bottom"], skips["merge.3"]
    edge = (2 * pooled.shape[2] - skip.shape[2]) // 4
    expected = nn.functional.max_pool2d(skip, 2)
    same = torch.equal(pooled[:, :, edge : edge + expected.shape[2], edge : edge + expected.shape[3]], expected)
    yield compared(
        "place of the first dropout", "release", "before both pooling and skip", _equality(same, "both"), same
    )
    inputs, _ = trace(model.eval(), image, ones)
    off = bool((inputs["up.3"] == 1).all())
    yield compared("dropout in prediction", "section 3", "none", "none" if off else "active", off)


def blocks_width(model: UNet, merge: str) -> int:
    """Channels of the skip that is concatenated for a block."""
    convolution = next(m for m in blocks(model)[merge.replace("merge", "down")].modules() if isinstance(m, nn.Conv2d))
    return convolution.out_channels


def _where(name: str) -> str:
    return "1024" if name == "bottom" else str(64 << int(name.split(".")[1]))


@torch.no_grad()
def _initial_weights() -> Iterator[Line]:
    for variant, source in (("paper", "section 3"), ("release", "release")):
        model = UNet(UNetConfig(variant=variant))
        convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        worst = max(_off_std(m, variant) for m in convolutions)
        if variant == "paper":
            example = float(next(m.weight.std() for m in convolutions if m.weight.shape == (64, 64, 3, 3)))
            says = "Gaussian of standard deviation sqrt(2 / N); 3x3 on 64 channels: N = 576, 0.0589"
            found = f"{example:.4f}; all {len(convolutions)} layers within {worst:.1f} standard errors"
            yield compared("initial weights", source, says, found, worst < 5 and abs(example - 0.0589) < 0.001)
            biases = max(float(m.bias.abs().max()) for m in convolutions if m.bias is not None)
            yield compared("initial biases", "release", "0", f"at most {biases:g}", biases == 0)
        else:
            says = "N = 4 c_out for an up-convolution"
            found = f"all {len(convolutions)} layers within {worst:.1f} standard errors"
            yield compared("initial weights of --variant release", source, says, found, worst < 5)


def _off_std(module: nn.Conv2d | nn.ConvTranspose2d, variant: str) -> float:
    """Difference of the measured from the paper's standard deviation, in standard errors."""
    incoming = module.in_channels * math.prod(module.kernel_size)
    if isinstance(module, nn.ConvTranspose2d):
        incoming = 4 * module.out_channels if variant == "release" else module.in_channels
    expected = math.sqrt(2 / incoming)
    error = expected / math.sqrt(2 * module.weight.numel())
    return abs(float(module.weight.std()) - expected) / error


def _equality(holds: bool, what: str) -> str:
    return what if holds else f"not {what}"
