"""Options beyond the paper: padding and normalisation, and the sizes that follow."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from unetprep.kernels.tiling import border_px, smallest_tile
from unettrain.checkpoint import load_checkpoint
from unettrain.config import FitConfig, UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet, tile_scores
from unettrain.training_loop import fit

SMALL = UNetConfig(base_channels=2, depth=2)
SAME = replace(SMALL, padding="same")


@pytest.mark.parametrize("normalization", ["none", "batch", "instance"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_padded_network_gives_the_side_of_its_input(depth: int, normalization: str) -> None:
    config = UNetConfig(2, 3, base_channels=1, depth=depth, padding="same", normalization=normalization)
    model, smallest = UNet(config), config.legal_tiles_near(1)[0]
    larger = smallest + 3 * config.pool_px
    assert model(torch.rand(1, 2, smallest, larger)).shape == (1, 3, smallest, larger)
    assert (config.output_px(larger), config.border_px) == (larger, 0)


@pytest.mark.parametrize(("side", "message"), [(60, "48 or 64 px"), (15, "32 px, the smallest")])
def test_a_padded_network_refuses_sides_that_pooling_would_cut(side: int, message: str) -> None:
    model = UNet(UNetConfig(base_channels=1, padding="same"))
    with pytest.raises(InvalidInput, match=f"does not fit a network of depth 4 with padding same\n.*{message}"):
        model(torch.zeros(1, 1, 64, side, device="meta"))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_on_a_stored_tile_padding_changes_no_score_and_no_gradient(depth: int) -> None:
    config = UNetConfig(base_channels=2, depth=depth)
    valid, same = UNet(config).eval(), UNet(replace(config, padding="same")).eval()
    image = torch.rand(2, 1, smallest_tile(depth) + 2**depth, smallest_tile(depth))
    scores = [tile_scores(model, image, model.config) for model in (valid, same)]
    torch.testing.assert_close(scores[1], scores[0], rtol=1e-5, atol=1e-6)
    assert scores[0].shape[2:] == tuple(side - border_px(depth) for side in image.shape[2:])
    for score in scores:
        score.square().sum().backward()  # type: ignore[no-untyped-call]
    for a, b in zip(valid.parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_halo_is_the_context_of_a_window_and_no_more(depth: int, padding: str) -> None:
    config = UNetConfig(base_channels=2, depth=depth, padding=padding)
    model, tile, halo = UNet(config).eval().double(), config.legal_tiles_near(4 * config.halo_px)[1], config.halo_px
    assert config.used_px(tile) > 0
    for p in model.parameters():
        p.detach().abs_()  # no ReLU cuts anything off
    image = torch.rand(1, 1, tile + 4 * config.pool_px, tile, dtype=torch.float64)
    start, end = 2 * config.pool_px, 2 * config.pool_px + tile
    cut = halo if padding == "same" else 0

    with torch.inference_mode():
        whole, part = model(image), model(image[:, :, start:end])
        used = slice(cut, cut + config.used_px(tile))
        shifted = slice(start + cut, start + cut + config.used_px(tile))
        torch.testing.assert_close(part[:, :, used, used], whole[:, :, shifted, used], rtol=1e-12, atol=0)
        if padding == "same":  # one group of pooled pixels less is not enough
            before = cut - config.pool_px
            other = part[:, :, before:cut, used] / whole[:, :, start + before : start + cut, used]
            assert (other - 1).abs().max() > 1e-8


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("depth", [1, 4])
def test_legal_tiles_are_those_that_the_network_takes(depth: int, padding: str) -> None:
    config = UNetConfig(base_channels=1, depth=depth, padding=padding)
    model, legal = UNet(config, seed=None), []
    for side in range(1, smallest_tile(depth) + 2 * config.pool_px):
        below, above = config.legal_tiles_near(side)
        assert config.is_legal_tile(below)
        assert config.is_legal_tile(above)
        if config.is_legal_tile(side):
            legal.append(side)
            assert below == above == side
            out = model(torch.zeros(1, 1, side, side, device="meta")).shape[-1]
            assert out == config.output_px(side)
        else:
            assert not below < side < above or not any(map(config.is_legal_tile, range(below + 1, above)))
            with pytest.raises(InvalidInput, match="does not fit"):
                model(torch.zeros(1, 1, side, side, device="meta"))
    assert legal


def test_the_sizes_of_the_papers_network_and_of_its_padded_form() -> None:
    paper, same = UNetConfig(), UNetConfig(padding="same")
    assert (paper.halo_px, paper.border_px, paper.output_px(572), paper.used_px(572)) == (92, 184, 388, 384)
    assert (same.halo_px, same.border_px, same.output_px(576), same.used_px(576)) == (96, 0, 576, 384)
    assert same.legal_tiles_near(572) == (560, 576)


@pytest.mark.parametrize("normalization", ["batch", "instance"])
def test_normalisation_does_not_make_the_gradient_of_a_tile_of_one_gray_value_explode(normalization: str) -> None:
    model = UNet(UNetConfig(base_channels=2, normalization=normalization))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.constant_(layer.bias, 0.1)  # at 0, as initially, all gradients are 0
    scores = model(torch.full((1, 1, 188, 188), 0.02))
    loss = nn.functional.cross_entropy(scores, torch.zeros(1, 4, 4, dtype=torch.long))
    loss.backward()  # type: ignore[no-untyped-call]
    assert max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None) < 1e8  # 1e13 at 1e-5


@pytest.mark.parametrize(("normalization", "layer"), [("batch", nn.BatchNorm2d), ("instance", nn.InstanceNorm2d)])
def test_normalisation_stands_between_each_3x3_and_its_relu(normalization: str, layer: type[nn.Module]) -> None:
    model = UNet(replace(SMALL, normalization=normalization))
    for block in [*model.down, model.bottom, *model.merge]:
        kinds = [type(module) for module in block.children()]
        assert kinds == [nn.Conv2d, layer, nn.ReLU] * 2
        assert all(m.bias is None for m in block.children() if isinstance(m, nn.Conv2d))
    assert sum(isinstance(m, layer) for m in model.modules()) == 2 * (2 * 2 + 1)
    assert model.head.bias is not None
    assert torch.equal(model.down[0][0].weight, UNet(SMALL).down[0][0].weight)  # type: ignore[index]
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            for name, values in module.state_dict().items():
                assert (values == (1 if name in ("weight", "running_var") else 0)).all(), name


def test_batch_normalisation_predicts_by_running_statistics() -> None:
    model, image = UNet(replace(SMALL, normalization="batch")), torch.rand(1, 1, 60, 60)
    for _ in range(3):
        model.train()(image)
    large = torch.rand(1, 1, 68, 60)
    with torch.inference_mode():
        whole, part = model.eval()(large), model(large[:, :, 4:64])
    torch.testing.assert_close(part, whole[:, :, 4 : 4 + part.shape[2]], rtol=0, atol=1e-5)
    assert model.config.is_local


def test_instance_normalisation_depends_on_the_tile_and_says_so() -> None:
    model, large = UNet(replace(SMALL, normalization="instance")).eval(), torch.rand(1, 1, 68, 60)
    large[:, :, 64:] = 5
    with torch.inference_mode():
        whole, part = model(large), model(large[:, :, 4:64])
    assert (part - whole[:, :, 4 : 4 + part.shape[2]]).abs().max() > 1e-3
    assert not model.config.is_local


def test_options_of_a_run_reach_the_network() -> None:
    network = FitConfig(padding="same", normalization="batch").network(in_channels=3, depth=2)
    assert (network.padding, network.normalization, network.in_channels, network.depth) == ("same", "batch", 3, 2)
    with pytest.raises(InvalidInput, match="padding is 'full'\n  allowed: valid, same"):
        FitConfig(padding="full")
    with pytest.raises(InvalidInput, match="normalization is 'layer'\n  allowed: none, batch, instance"):
        UNetConfig(normalization="layer")


def test_a_run_with_all_options_continues_bit_for_bit(make_store: Callable[..., Path], tmp_path: Path) -> None:
    options = FitConfig(
        padding="same",
        normalization="batch",
        base_channels=2,
        steps=4,
        validate_every=2,
        threads=1,
        device="cpu",
        schedule="constant",
    )
    store = make_store()
    fit(store, tmp_path / "whole", options)
    fit(store, tmp_path / "parts", replace(options, steps=2))
    fit(store, tmp_path / "parts", options)
    whole, parts = (load_checkpoint(tmp_path / run / "last.pt") for run in ("whole", "parts"))
    assert whole.network == options.network(in_channels=1, depth=2)
    assert all(torch.equal(values, parts.weights[name]) for name, values in whole.weights.items())
    assert whole.weights["bottom.1.num_batches_tracked"] == 4
