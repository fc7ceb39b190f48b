"""Checkpoints: whole or not at all, and refused where they are none, or damaged."""

import random
import re
import resource
import zipfile
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from unettrain.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from unettrain.config import UNetConfig
from unettrain.errors import InvalidInput
from unettrain.model import UNet

NETWORK = UNetConfig(base_channels=2, depth=1, variant="release")


def a_checkpoint() -> Checkpoint:
    return Checkpoint(NETWORK, UNet(NETWORK, seed=5).state_dict(), 40, 7, 5, 0.25, None, {"state": {0: torch.ones(2)}})


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", a_checkpoint())
    found = load_checkpoint(tmp_path / "a.pt")
    assert (found.network, found.tile_px, found.step, found.seed, found.best_loss) == (NETWORK, 40, 7, 5, 0.25)
    assert found.intensity_rule == "auto"
    assert torch.equal(found.optimizer["state"][0], torch.ones(2))
    model, image = found.build(), torch.rand(1, 1, 40, 40)
    assert not model.training
    assert torch.equal(model(image), UNet(NETWORK, seed=5).eval()(image))
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_a_failed_write_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path / "a.pt", a_checkpoint())
    before = (tmp_path / "a.pt").read_bytes()

    def half(content: object, file: Any) -> None:
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(tmp_path / "a.pt", a_checkpoint())
    assert (tmp_path / "a.pt").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no checkpoint at .*nothing\.pt"):
        load_checkpoint(tmp_path / "nothing.pt")
    with pytest.raises(InvalidInput, match="there is no checkpoint at"):
        load_checkpoint(tmp_path)
    save_checkpoint(tmp_path / "whole.pt", a_checkpoint())
    half = (tmp_path / "whole.pt").read_bytes()[:2000]
    for k, content in enumerate((b"", b"hello", b"PK\x03\x04 not a zip", half)):
        path = tmp_path / f"{k}.pt"
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match=rf"{k}\.pt is no checkpoint"):
            load_checkpoint(path)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"format": "unettrain checkpoint", "path": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(InvalidInput, match=r"code\.pt is no checkpoint"):
        load_checkpoint(tmp_path / "code.pt")


def test_other_formats_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"weights": torch.ones(2)}, tmp_path / "theirs.pt")
    with pytest.raises(InvalidInput, match="no checkpoint of unettrain"):
        load_checkpoint(tmp_path / "theirs.pt")
    torch.save({"format": "unettrain checkpoint", "format_version": 2}, tmp_path / "newer.pt")
    with pytest.raises(InvalidInput, match="format version 2\n  allowed: 1"):
        load_checkpoint(tmp_path / "newer.pt")


def content_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a file holds."""
    content = {f.name: getattr(checkpoint, f.name) for f in fields(checkpoint)}
    return content | {
        "format": "unettrain checkpoint", "format_version": 1, "network": asdict(checkpoint.network)
    }  # fmt: skip


@pytest.mark.parametrize("normalization", ["batch", "instance"])
def test_a_network_with_normalisation_comes_back_and_predicts_the_same(tmp_path: Path, normalization: str) -> None:
    network = replace(NETWORK, padding="same", normalization=normalization)
    model, image = UNet(network), torch.rand(1, 1, 40, 40)
    model.train()(image)
    save_checkpoint(tmp_path / "a.pt", Checkpoint(network, model.state_dict(), 40, 7, 5))
    found = load_checkpoint(tmp_path / "a.pt")
    assert found.network == network
    assert torch.equal(found.build()(image), model.eval()(image))
    wrong = replace(network, normalization="none")
    save_checkpoint(tmp_path / "b.pt", Checkpoint(wrong, model.state_dict(), 40, 7, 5))
    with pytest.raises(InvalidInput, match=r"b\.pt does not hold the weights of its network, of depth 1"):
        load_checkpoint(tmp_path / "b.pt")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bottom.1.running_var", torch.full((4,), torch.inf), r"not finite \(bottom\.1\.running_var\)"),
        ("bottom.1.num_batches_tracked", torch.ones(()), r"num_batches_tracked\n  allowed: int64 of shape \(\)"),
    ],
)
def test_bad_statistics_of_batch_normalisation_are_refused(
    tmp_path: Path, name: str, value: torch.Tensor, message: str
) -> None:
    network = replace(NETWORK, normalization="batch")
    weights = UNet(network).state_dict() | {name: value}
    save_checkpoint(tmp_path / "a.pt", Checkpoint(network, weights, 40, 7, 5))
    with pytest.raises(InvalidInput, match=message):
        load_checkpoint(tmp_path / "a.pt")


def test_a_checkpoint_from_before_padding_and_normalisation_is_of_the_papers_network(tmp_path: Path) -> None:
    content = content_of(a_checkpoint())
    content["network"] = {k: v for k, v in asdict(NETWORK).items() if k not in ("padding", "normalization")}
    torch.save(content, tmp_path / "a.pt")
    assert load_checkpoint(tmp_path / "a.pt").network == NETWORK


def same(a: object, b: object) -> bool:
    """Whether two contents are the same, bit for bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return a == b


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    """A bit of padding changes nothing; every other one is noticed."""
    path, chance = tmp_path / "last.pt", random.Random(0)
    save_checkpoint(path, a_checkpoint())
    whole, expected = path.read_bytes(), content_of(load_checkpoint(path))
    refused = 0
    for bit in chance.sample(range(8 * len(whole)), 120):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            found = content_of(load_checkpoint(path))
        except InvalidInput as error:
            refused, said = refused + 1, str(error)
            found = expected if said.startswith(str(path)) and "to do:   restore it from a backup, or" in said else {}
        assert same(found, expected), bit
    assert refused > 40


def test_an_entry_that_became_a_directory_is_refused(tmp_path: Path) -> None:
    """torch returns uninitialized memory for it, and no checksum covers the attribute."""
    path = tmp_path / "a.pt"
    save_checkpoint(path, a_checkpoint())
    data = bytearray(path.read_bytes())
    last = data.rindex(b"PK\x01\x02")  # entry of the central directory; its attributes are at 38
    data[last + 38] |= 0x10
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="an archive of another kind than torch writes, or damaged"):
        load_checkpoint(path)


def test_a_changed_weight_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(path, a_checkpoint())
    name = next(iter(a_checkpoint().weights))
    data = bytearray(path.read_bytes())
    where = data.index(bytes(memoryview(a_checkpoint().weights[name].numpy().tobytes())))
    data[where] ^= 1
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"best\.pt is damaged: the checksum of .*/data/\d+ does not"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", [f.name for f in fields(Checkpoint)])
def test_every_field_is_checked(tmp_path: Path, name: str) -> None:
    path, content = tmp_path / "a.pt", content_of(a_checkpoint())
    torch.save(content | {name: [content]}, path)
    with pytest.raises(InvalidInput, match=rf"a\.pt (says {name} is \[|is list)"):
        load_checkpoint(path)
    del content[name]
    torch.save(content, path)
    if name in ("network", "weights", "tile_px", "step", "seed"):
        with pytest.raises(InvalidInput, match=rf"a\.pt lacks {name}\n"):
            load_checkpoint(path)
    else:
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, r"a\.pt holds colour, which this version does not know\n  to do:   use the release"),
        ({1: 1}, r"a\.pt holds 1, which"),
        ({"network": asdict(NETWORK) | {"width": 3}}, r"the network of .*a\.pt holds width, which"),
        (
            {"network": asdict(NETWORK) | {"depth": "1"}},
            r"the network of .*a\.pt says depth is '1'\n  allowed: an integer",
        ),
        ({"network": asdict(NETWORK) | {"depth": True}}, r"says depth is True"),
        (
            {"network": asdict(NETWORK) | {"depth": 10**9}},
            r"cannot be built: depth is 1000000000\n.*1 to 16",
        ),
        (
            {"network": asdict(NETWORK) | {"base_channels": 4096}},
            r"the weights of its network: .*allowed: float32",
        ),
        ({"network": asdict(NETWORK) | {"depth": 2}}, "not hold the weights of its network, of depth 2"),
        ({"weights": {}}, "not hold the weights of its network"),
        ({"format": torch.ones(2)}, "no checkpoint of unettrain"),
        ({"format_version": [1]}, r"format version \[1\]"),
    ],
)
def test_content_that_does_not_fit_is_one_clear_error(tmp_path: Path, change: dict[Any, Any], message: str) -> None:
    torch.save(content_of(a_checkpoint()) | change, tmp_path / "a.pt")
    with pytest.raises(InvalidInput, match=rf"(?s){message}"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    checkpoint = a_checkpoint()
    checkpoint.weights["head.weight"][0] = value
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    with pytest.raises(InvalidInput, match=r"not finite \(head\.weight\): its training diverged\n  to do"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("tensor", [torch.ones(1, dtype=torch.float64), torch.ones(()).expand(10**6), None])
def test_weights_of_another_kind_are_refused(tmp_path: Path, tensor: object) -> None:
    checkpoint = a_checkpoint()
    save_checkpoint(tmp_path / "a.pt", replace(checkpoint, weights=checkpoint.weights | {"head.bias": tensor}))
    with pytest.raises(InvalidInput, match=r"network: head\.bias\n  allowed: float32 of shape \(2,\)"):
        load_checkpoint(tmp_path / "a.pt")


def test_no_refusal_advises_to_load_a_file_that_might_run_code(tmp_path: Path) -> None:
    torch.save({"format": "unettrain checkpoint", "path": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(InvalidInput) as refused:
        load_checkpoint(tmp_path / "code.pt")
    assert str(refused.value).startswith(
        f"{tmp_path}/code.pt is no checkpoint of unettrain: it holds objects other than"
    )
    assert "weights_only" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_an_archive_that_is_compressed_is_refused(tmp_path: Path) -> None:
    """torch stores without compression: a small file cannot become a large one."""
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"0" * 100_000)
    with pytest.raises(InvalidInput, match="an archive of another kind than torch writes"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_disk_that_takes_no_more_is_told_by_name_and_the_old_checkpoint_stays(tmp_path: Path) -> None:
    """torch itself says "unexpected pos" of a write that fails."""
    path, network = tmp_path / "last.pt", UNetConfig(base_channels=16, depth=1)
    checkpoint = Checkpoint(network, UNet(network).state_dict(), 40, 7, 5)
    save_checkpoint(path, checkpoint)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    assert len(before) > 40_000  # several times what is buffered
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match=re.escape(f"File too large: '{path}'")):
            save_checkpoint(path, checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]
