"""The network against the paper's figures, and against the mistakes that re-implementations make."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unetprep.kernels.tiling import output_size, smallest_tile
from unettrain.config import UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet

SMALL = UNetConfig(base_channels=2, depth=2)


def convolutions(model: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


def inputs_of(outputs: tuple[int, int], depth: int) -> tuple[int, int]:
    """First and last input pixel that the outputs from first to last can see, walked back layer by layer."""

    def through(interval: tuple[int, int], level: int) -> tuple[int, int]:
        """From the output of the part of the network that begins at `level` to its input."""
        first, last = interval
        if level == depth:
            return first, last + 4
        below = through((first // 2, (last + 4) // 2), level + 1)
        crop = 6 * 2 ** (depth - level) - 8  # of the skip, a side: 4, 16, 40, 88 from the deepest up
        return min(2 * below[0], first + crop), max(2 * below[1] + 1, last + 4 + crop) + 4

    return through(outputs, 0)


@pytest.mark.parametrize(("variant", "expected"), [("paper", 31_030_658), ("release", 31_100_354)])
def test_it_has_the_papers_parameters(variant: str, expected: int) -> None:
    model = UNet(UNetConfig(variant=variant))
    assert sum(p.numel() for p in model.parameters()) == expected
    assert len(convolutions(model)) == 23


def test_a_tile_of_572_gives_388_by_the_sides_of_the_figure() -> None:
    model = UNet(UNetConfig(base_channels=1)).to("meta").eval()
    sides = []
    for block in [*model.down, model.bottom, *reversed(list(model.merge))]:
        block.register_forward_hook(lambda _, __, output: sides.append(output.shape[-1]))
    assert model(torch.zeros(1, 1, 572, 572, device="meta")).shape == (1, 2, 388, 388)
    assert sides == [568, 280, 136, 64, 28, 52, 100, 196, 388]
    assert [m.out_channels for m in convolutions(UNet(UNetConfig()).down)] == [64, 64, 128, 128, 256, 256, 512, 512]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_the_output_is_as_the_tiling_says(depth: int, steps: int) -> None:
    tile = smallest_tile(depth) + steps * 2**depth
    model = UNet(UNetConfig(3, 4, base_channels=1, depth=depth)).to("meta")
    expected = (2, 4, output_size(tile, depth), output_size(smallest_tile(depth), depth))
    assert model(torch.zeros(2, 3, tile, smallest_tile(depth), device="meta")).shape == expected


@pytest.mark.parametrize(("depth", "place"), [(1, 1), (2, 0), (2, 7), (2, 10), (3, 5), (4, 3)])
def test_the_output_sees_its_receptive_field_alone(depth: int, place: int) -> None:
    tile = smallest_tile(depth) + 16
    model = UNet(UNetConfig(base_channels=2, depth=depth)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.abs_()  # nothing is cut off by a ReLU, so that all that is seen has a gradient, but for pooling
    image = torch.rand(1, 1, tile, tile, requires_grad=True)
    model(image)[0, 0, place, place].backward()
    assert image.grad is not None
    rows = np.flatnonzero(image.grad[0, 0].abs().sum(1).numpy())
    first, last = inputs_of((place, place), depth)
    assert 0 <= first <= rows[0] <= first + 2**depth - 1
    assert last - 2**depth + 1 <= rows[-1] <= last <= tile - 1


@pytest.mark.parametrize("depth", [2, 3])
def test_shifting_the_input_shifts_the_output(depth: int) -> None:
    model, shift = UNet(UNetConfig(base_channels=2, depth=depth)).eval(), 2**depth
    tile = smallest_tile(depth)
    image = torch.rand(1, 1, tile + shift, tile + shift)
    with torch.inference_mode():
        whole, part = model(image), model(image[:, :, shift:, shift:])
    torch.testing.assert_close(whole[:, :, shift:, shift:], part, rtol=0, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 3])
def test_skips_are_cropped_at_their_centre(depth: int) -> None:
    model, tile = UNet(UNetConfig(base_channels=2, depth=depth)).eval().double(), smallest_tile(depth)
    with torch.no_grad():
        for m in convolutions(model):  # what has no left and right gives for a mirrored image the mirrored scores
            m.weight.add_(m.weight.flip(2, 3))
    image = torch.rand(1, 1, tile, tile + 2**depth, dtype=torch.float64)
    with torch.inference_mode():
        plain, turned = model(image), model(image.flip(2, 3))
    torch.testing.assert_close(turned.flip(2, 3), plain, rtol=1e-9, atol=1e-9)


def test_dropout_stands_before_pool_and_skip_and_at_the_bottom(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = UNet(SMALL), dict[str, Tensor]()
    drops: list[tuple[tuple[int, ...], float, bool]] = []

    def marked(x: Tensor, p: float, training: bool) -> Tensor:
        drops.append((tuple(x.shape), p, training))
        return torch.full_like(x, float(len(drops)))

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, args: seen.update({name: args[0]})

    monkeypatch.setattr("unettrain.model.F.dropout", marked)
    for name, module in {"bottom": model.bottom, "up": model.up[1], "merge": model.merge[1]}.items():
        module.register_forward_pre_hook(watch(name))
    model(torch.rand(1, 1, 60, 60))
    assert drops == [((1, 4, 24, 24), 0.5, True), ((1, 8, 8, 8), 0.5, True)]
    assert torch.all(seen["bottom"] == 1)
    assert torch.all(seen["up"] == 2)
    assert torch.all(seen["merge"][:, 4:] == 1)  # [upsampled, skip]
    assert not torch.any(seen["merge"][:, :4] == 1)


def test_dropout_is_active_in_training_alone() -> None:
    model, image = UNet(SMALL), torch.rand(1, 1, 60, 60)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        assert not torch.equal(model.train()(image), model(image))
    assert torch.equal(model.eval()(image), model(image))


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_the_initial_weights_are_gaussian_of_the_papers_width(variant: str) -> None:
    for m in convolutions(UNet(UNetConfig(base_channels=32, depth=2, variant=variant))):
        incoming = m.in_channels * math.prod(m.kernel_size)
        if isinstance(m, nn.ConvTranspose2d):
            incoming = m.in_channels if variant == "paper" else 4 * m.out_channels
        weights, expected = m.weight.detach(), math.sqrt(2 / incoming)
        assert float(weights.std()) == pytest.approx(expected, rel=4 / math.sqrt(2 * weights.numel()))
        assert float(weights.abs().max()) > 2 * expected or weights.numel() < 100
        assert m.bias is not None
        assert not m.bias.any()


def test_the_release_rectifies_what_it_upsamples() -> None:
    for variant, negative in (("paper", True), ("release", False)):
        model, seen = UNet(UNetConfig(base_channels=2, depth=2, variant=variant)), list[Tensor]()
        model.merge[0].register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        model(torch.rand(1, 1, 60, 60))
        assert seen[0].shape[1] == (4 if variant == "paper" else 6)
        assert bool((seen[0] < 0).any()) is negative


def test_the_initial_weights_depend_on_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    first, again, other = (torch.cat([p.flatten() for p in UNet(SMALL, seed).parameters()]) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("side", "message"), [(570, "556 or 572 px"), (512, "508 or 524 px"), (100, "188 px, the smallest")]
)
def test_an_illegal_size_is_refused_with_the_nearest_legal_ones(side: int, message: str) -> None:
    model = UNet(UNetConfig(base_channels=1))
    with pytest.raises(InvalidInput, match=message):
        model(torch.zeros(1, 1, 572, side, device="meta"))


@pytest.mark.parametrize("shape", [(1, 3, 60, 60), (1, 60, 60), (60, 60)])
def test_wrong_channels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"allowed: \(batch, 1, y, x\)"):
        UNet(SMALL)(torch.zeros(shape))
