"""Prediction of files and arrays into files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from unettrain.checkpoint import Checkpoint, save_checkpoint
from unettrain.config import UNetConfig
from unettrain.errors import InvalidInput
from unettrain.evaluation.many import evaluate_metrics
from unettrain.evaluation.params import EvaluateParams
from unettrain.model import UNet
from unettrain.prediction.files import predict_files
from unettrain.prediction.image import predict_image
from unettrain.prediction.layout import threshold_in
from unettrain.prediction.outputs import fingerprint_of, mark_in

NONE = {"instances": "none"}
IMAGE = np.random.default_rng(0).integers(0, 200, (60, 45)).astype(np.uint8)


def network(folder: Path, **shape: Any) -> Path:
    config = UNetConfig(base_channels=2, depth=1, **shape)
    save_checkpoint(folder / "net.pt", Checkpoint(config, UNet(config, seed=1).state_dict(), 44, 0, 0))
    return folder / "net.pt"


def expected(checkpoint: Path, image: NDArray[Any], intensity: tuple[float, float]) -> NDArray[np.float32]:
    from unettrain.checkpoint import load_checkpoint

    return np.asarray(predict_image(load_checkpoint(checkpoint).build(), image, intensity, 44))


def test_a_file_and_an_array_are_predicted_alike(tmp_path: Path) -> None:
    checkpoint, calls = network(tmp_path), list[tuple[int, int]]()
    np.save(tmp_path / "image.npy", IMAGE)
    done = predict_files(
        checkpoint,
        tmp_path / "image.npy",
        tmp_path / "a.npy",
        decoding=NONE,
        intensity=(0, 100),
        on_progress=lambda *at: calls.append(at),
    )
    predict_files(checkpoint, IMAGE, tmp_path / "b.npy", decoding=NONE, intensity=(0, 100), tile_px=60)
    a, b = np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy")
    assert (done.path, done.shape, done.intensity) == (tmp_path / "a.npy", (60, 45), (0, 100))
    assert done.as_dict() == {"out": str(done.path), "shape": [60, 45], "intensity": [0, 100], "warnings": []}
    assert calls[-1][0] == calls[-1][1] == len(calls)
    np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_allclose(a, expected(checkpoint, IMAGE[None, None], (0, 100))[1, 0], atol=1e-6)


def test_three_classes_and_several_slices_keep_their_axes(tmp_path: Path) -> None:
    checkpoint, volume = network(tmp_path, num_classes=3), np.stack([IMAGE, 200 - IMAGE])
    done = predict_files(checkpoint, volume, tmp_path / "p.zarr", decoding=NONE, intensity="dtype")
    assert done.shape == (3, 2, 60, 45)
    assert done.intensity == (0, 255)


def test_threads_are_limited_for_the_call_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, before = [], torch.get_num_threads()
    predict_files(
        network(tmp_path),
        IMAGE,
        tmp_path / "p.npy",
        threads=before + 1,
        on_progress=lambda *_: seen.append(torch.get_num_threads()),
    )
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("intensity", [(3, 2), (1, 2, 3), "max", "0,255"])
def test_an_intensity_that_is_none_writes_nothing(tmp_path: Path, intensity: Any) -> None:
    with pytest.raises(InvalidInput, match="intensity is"):
        predict_files(network(tmp_path), IMAGE, tmp_path / "p.npy", intensity=intensity)
    assert [path.name for path in tmp_path.iterdir()] == ["net.pt"]


@pytest.mark.parametrize("ending", [".npy", ".tif", ".zarr"])
def test_probabilities_carry_the_threshold_of_the_run(tmp_path: Path, ending: str) -> None:
    checkpoint, out = network(tmp_path), tmp_path / f"p{ending}"
    predict_files(checkpoint, IMAGE, out, decoding=NONE | {"threshold": 0.35})
    assert threshold_in(mark_in(out)) == 0.35
    assert len(fingerprint_of(out) or "") > 8
    predict_files(checkpoint, IMAGE, tmp_path / f"labels{ending}", decoding={"threshold": 0.35})
    assert threshold_in(mark_in(tmp_path / f"labels{ending}")) is None
    params = EvaluateParams(metrics="pixel_error")
    np.save(tmp_path / "labels.npy", (IMAGE > 100).astype(np.uint8))
    for given, expected in ((None, 0.35), (0.6, 0.6)):
        asked = replace(params, instances="ids", threshold=given)
        scores = evaluate_metrics(out, tmp_path / "labels.npy", asked).overall["pixel_error"].values()
        assert scores["threshold"] == expected
