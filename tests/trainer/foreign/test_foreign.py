"""Import of foreign weights: the checkpoint predicts what the other network does, or nothing is imported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from unettrain import load_foreign_weights
from unettrain.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from unettrain.config import UNetConfig
from unettrain.errors import Conflict, InvalidInput
from unettrain.model import UNet

WIDTHS = (4, 8, 16)


class OtherUNet(nn.Module):
    """A U-Net as many write it: padded, batch normalisation, [skip, upsampled], other names, decoder from below."""

    def __init__(self, bias: bool = False, norm: bool = True, up_first: bool = False, ascending: bool = False) -> None:
        super().__init__()
        self.up_first = up_first

        def block(c_in: int, c_out: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for a in (c_in, c_out):
                layers += [nn.Conv2d(a, c_out, 3, padding=1, bias=bias), *[nn.BatchNorm2d(c_out)] * norm, nn.ReLU()]
            return nn.Sequential(*layers)

        self.encoder = nn.ModuleList(block(a, b) for a, b in zip((1, *WIDTHS), WIDTHS, strict=False))
        order = list(WIDTHS[:-1]) if ascending else list(WIDTHS[-2::-1])
        self.decoder = nn.ModuleList(
            nn.ModuleDict({"up": nn.ConvTranspose2d(2 * w, w, 2, 2), "conv": block(2 * w, w)}) for w in order
        )
        self.ascending = ascending
        self.outc = nn.Conv2d(WIDTHS[0], 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for k, block in enumerate(self.encoder):
            x = block(nn.functional.max_pool2d(x, 2) if k else x)
            skips.append(x)
        for step, skip in zip(self.decoder[::-1] if self.ascending else self.decoder, skips[-2::-1], strict=True):
            up = step["up"](x)  # type: ignore[index]
            x = step["conv"](torch.cat([up, skip] if self.up_first else [skip, up], dim=1))  # type: ignore[index]
        scores: Tensor = self.outc(x)
        return scores


def trained(**options: bool) -> OtherUNet:
    model = OtherUNet(**options).train()
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 1:
                p.add_(torch.randn_like(p) / 4)
    for _ in range(4):
        model(torch.rand(2, 1, 32, 32) * 3)
    return model.eval()


Save = Callable[[Any], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def saved(content: Any) -> Path:
        torch.save(content, tmp_path / "other.pth")
        return tmp_path / "other.pth"

    return saved


def imported(path: Path, **said: Any) -> UNet:
    options = {"concatenation": "skip-first", "padding": "same"} | said
    load_foreign_weights(path, path.parent / "ours.pt", **options)
    return load_checkpoint(path.parent / "ours.pt").build()


@pytest.mark.parametrize(
    "options",
    [{}, {"bias": True}, {"up_first": True}, {"bias": True, "norm": False}, {"ascending": True}],
    ids=["usual", "biases", "up first", "no normalisation", "decoder from above"],
)
def test_the_checkpoint_predicts_what_the_other_network_does(save: Save, options: dict[str, bool]) -> None:
    model, image = trained(**options), torch.rand(2, 1, 48, 32)
    ours = imported(save(model.state_dict()), concatenation="up-first" if options.get("up_first") else "skip-first")
    assert (ours.config.depth, ours.config.base_channels, ours.config.num_classes) == (2, 4, 3)
    assert ours.config.normalization == ("batch" if options.get("norm", True) else "none")
    with torch.inference_mode():
        torch.testing.assert_close(ours(image), model(image), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_seen_changes_the_result_so_it_must_be_said(save: Save) -> None:
    model, image = trained(), torch.rand(1, 1, 32, 32)
    ours = imported(save(model.state_dict()), concatenation="up-first")
    with torch.inference_mode():
        assert (ours(image) - model(image)).abs().max() > 0.01
    with pytest.raises(TypeError, match="concatenation"):
        load_foreign_weights("a.pth", "b.pt", padding="same")  # type: ignore[call-arg]


@pytest.mark.parametrize("variant", ["paper", "release"])
def test_our_own_weights_come_back_whatever_their_names(save: Save, variant: str) -> None:
    network = UNetConfig(base_channels=2, depth=3, variant=variant)
    model = UNet(network, seed=4)
    state = {f"layer{k // 2}.{name.rpartition('.')[2]}": v for k, (name, v) in enumerate(model.state_dict().items())}
    ours = imported(save({"epoch": 3, "state_dict": state}), concatenation="up-first", padding="valid")
    assert ours.config == network
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), model.parameters(), strict=True))


def test_it_says_what_went_where_and_what_was_ignored(save: Save, tmp_path: Path) -> None:
    path = save({**trained().state_dict(), "mask_values": [0, 1]})
    done = load_foreign_weights(path, tmp_path / "ours.pt", concatenation="skip-first", padding="same")
    assert done.pairs[0] == ("encoder.0.0", "down.0.0")
    assert ("decoder.0.conv.3", "merge.1.3") in done.pairs
    assert done.pairs[-1] == ("outc", "head")
    assert done.ignored == ("mask_values",)
    assert done.as_dict()["network"]["padding"] == "same"
    checkpoint = load_checkpoint(tmp_path / "ours.pt")
    assert (checkpoint.intensity_rule, checkpoint.image_dtype, checkpoint.step) == ("dtype", "uint8", 0)
    assert checkpoint.network.is_legal_tile(checkpoint.tile_px)
    with pytest.raises(Conflict, match="already exists"):
        load_foreign_weights(path, tmp_path / "ours.pt", concatenation="skip-first", padding="same")


def without(part: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: {name: tensor for name, tensor in state.items() if part not in name}


def changed(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda state: state | {name: tensor}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without(".up."), "0 up-convolutions of 2x2 and 1 of 1x1; nothing was imported"),
        (without("encoder.2.3"), r"encoder\.2\.4\.weight, .* is no part"),
        (lambda state: without("encoder.2.4")(without("encoder.2.3")(state)), "9 convolutions of 3x3, 2 up-conv"),
        (without("outc"), "and 0 of 1x1"),
        (
            changed("extra.weight", torch.ones(4, 4, 5, 5)),
            r"extra\.weight, float32 of shape \(4, 4, 5, 5\), is no part",
        ),
        (changed("extra.weight", torch.ones(4, 4, 1, 1)), "and 2 of 1x1"),
        (changed("extra.weight", torch.ones(5)), r"extra\.weight, float32 of shape \(5,\), is no part"),
        (changed("extra.alpha", torch.ones(5)), r"extra\.alpha is no part"),
        (changed("extra.weight", torch.ones(4, dtype=torch.int64)), r"extra\.weight, int64"),
        (changed("encoder.1.3.weight", torch.ones(9, 8, 3, 3)), r"encoder\.1\.3\.weight|encoder\.1\.4\.weight"),
        (changed("outc.weight", torch.full((3, 4, 1, 1), torch.nan)), r"not finite, for head\.weight"),
        (without("encoder.0.1"), "follows some but not all 3x3 convolutions"),
        (without("running_"), r"encoder\.0\.1 has no running statistics"),
    ],
)
def test_nothing_is_imported_in_part(
    save: Save, tmp_path: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], message: str
) -> None:
    path = save(change(dict(trained().state_dict())))
    with pytest.raises(InvalidInput, match=message):
        imported(path)
    assert not (tmp_path / "ours.pt").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Path("x"), "holds objects other than tensors and plain data, and was not loaded"),
        ([torch.ones(2)], "holds list\n  allowed: a state dict"),
        ({"epoch": 3}, "holds no tensors"),
        ({"a": {"x": torch.ones(2)}, "b": {"y": torch.ones(2)}}, "several groups of tensors: a, b"),
    ],
)
def test_what_is_no_state_dict_is_refused(save: Save, content: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        imported(save(content))


def test_damaged_and_missing_files_are_refused(tmp_path: Path, save: Save) -> None:
    path = save({"a": torch.ones(100)})
    data = bytearray(path.read_bytes())
    data[data.index(bytes(torch.ones(4).numpy().tobytes()))] ^= 1
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"other\.pth is damaged: the checksum"):
        imported(path)
    path.write_bytes(b"hello")
    with pytest.raises(InvalidInput, match=r"other\.pth (cannot be read|holds objects)"):
        imported(path)
    with pytest.raises(InvalidInput, match="there is no file"):
        imported(tmp_path / "none.pth")
    with pytest.raises(InvalidInput, match="padding is 'reflect'\n  allowed: valid, same"):
        imported(path, padding="reflect")


def test_a_checkpoint_of_unettrain_is_refused_as_its_layers_would_be_reordered(tmp_path: Path) -> None:
    network = UNetConfig(base_channels=2, depth=1)
    save_checkpoint(tmp_path / "best.pt", Checkpoint(network, UNet(network).state_dict(), 28, 1, 0))
    with pytest.raises(InvalidInput, match=r"best\.pt is a checkpoint of unettrain already[^$]*use it as it is"):
        imported(tmp_path / "best.pt")
