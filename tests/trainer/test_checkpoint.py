"""Checkpoints: whole or not at all, and refused where they are none."""

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
