"""Exports: each format gives what torch gives, at sizes that it was not made with, and describes the network."""

import gc
import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import bioimageio.core
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from bioimageio.spec import load_model_description
from bioimageio.spec.model.v0_5 import ModelDescr

from tests.trainer.export.conftest import SEEN, SMALL, MakeCheckpoint, write_checkpoint
from unettrain.checkpoint import load_checkpoint
from unettrain.config import UNetConfig
from unettrain.data.intensity import TrainingImages, intensity_range, scale_intensity
from unettrain.errors import Conflict, Failure, InvalidInput
from unettrain.export.bioimageio_package import write_package
from unettrain.export.description import describe
from unettrain.export.intensity import scaling_of
from unettrain.export.params import ExportParams
from unettrain.export.program import network_for_export
from unettrain.export.write import (
    NO_AUTHOR,
    NO_LICENSE,
    UNPADDED,
    Exported,
    export_model,
    is_own_export,
    synthetic_image,
)

NETWORKS = {
    "paper": SMALL,
    "release": replace(SMALL, variant="release", in_channels=2, num_classes=3),
    "padded": replace(SMALL, padding="same", normalization="batch"),
    "instance": replace(SMALL, normalization="instance"),
}
TOLERANCE = 1e-5


def images_of(config: UNetConfig) -> list[torch.Tensor]:
    """Batches of several sizes."""
    least, step = config.least_tile_px, config.pool_px
    shapes = ((1, least, least), (3, least + 5 * step, least), (2, least, least + 8 * step))
    return [torch.rand(b, config.in_channels, y, x) for b, y, x in shapes]


def expected(checkpoint: Path, image: torch.Tensor) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        return np.asarray(load_checkpoint(checkpoint).build()(image).softmax(1))


@pytest.mark.parametrize("name", ["paper", "instance"])
def test_an_onnx_model_gives_what_torch_gives_at_any_size(
    tmp_path: Path, make_checkpoint: MakeCheckpoint, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    checkpoint, out = make_checkpoint(NETWORKS[name]), tmp_path / "a.onnx"
    done = export_model(checkpoint, out)
    assert "torchvision is not installed" not in caplog.text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.onnx", "best.pt"]  # one file
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    for image in images_of(NETWORKS[name]):
        (found,) = session.run(["probabilities"], {"image": image.numpy()})
        np.testing.assert_allclose(found, expected(checkpoint, image), rtol=0, atol=TOLERANCE)
    model = onnx.load(out)
    assert json.loads(model.metadata_props[0].value) == done.description
    assert ("instance normalisation" in "".join(done.warnings)) is (name == "instance")


@pytest.mark.parametrize("name", ["paper", "padded"])
def test_a_torch_program_gives_what_torch_gives_at_any_size(
    tmp_path: Path, make_checkpoint: MakeCheckpoint, name: str
) -> None:
    checkpoint, out = make_checkpoint(NETWORKS[name]), tmp_path / "a.pt2"
    done = export_model(checkpoint, out, ExportParams(format="torch"))
    files = {"unettrain.json": ""}
    program = torch.export.load(out, extra_files=files).module()
    for image in images_of(NETWORKS[name]):
        np.testing.assert_allclose(program(image).detach(), expected(checkpoint, image), rtol=0, atol=TOLERANCE)
    assert json.loads(files["unettrain.json"]) == done.description


def test_the_description_holds_what_a_program_needs(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = load_checkpoint(
        make_checkpoint(UNetConfig(base_channels=1, num_classes=3), decoding={"threshold": 0.4})
    )
    scaling = scaling_of(TrainingImages.of("dtype", "uint8", SEEN), None)
    done = describe(checkpoint, checkpoint.network, scaling, (0.5, 0.25), "here")
    assert (done["tile_least"], done["tile_step"], done["border"], done["halo"]) == (204, 16, 184, 0)
    padded = describe(checkpoint, replace(checkpoint.network, padding="same"), scaling, None, "here")
    assert (padded["tile_least"], padded["border"], padded["halo"], padded["pixel_um"]) == (208, 0, 96, None)
    assert done["network"]["num_classes"] == 3
    assert done["classes"] == ["background", "class1", "class2"]
    assert done["intensity"] == {"rule": "dtype", "dtype": "uint8", "clip": [-0.5, 1.5], "range": [0.0, 255.0]}
    assert done["pixel_um"] == [0.5, 0.25]
    assert (done["decoding"]["threshold"], done["decoding"]["instances"]) == (0.4, "watershed")


def test_the_same_weights_padded_differ_by_two_pixels_of_alignment_only(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = load_checkpoint(make_checkpoint(replace(SMALL, depth=2)))
    valid, same = network_for_export(checkpoint, "trained"), network_for_export(checkpoint, "same")
    assert same.config == replace(valid.config, padding="same")
    image = torch.rand(1, 1, 100, 100)
    with torch.inference_mode():
        inner = same(image)[:, :, 22:78, 22:78]
        torch.testing.assert_close(valid(image[:, :, 2:98, 2:98]), inner, rtol=0, atol=1e-5)
    instance = load_checkpoint(make_checkpoint(NETWORKS["instance"]))
    with pytest.raises(InvalidInput, match=r"instance normalisation, .*\n  allowed: padding trained"):
        network_for_export(instance, "same")


# -- bioimage.io ------------------------------------------------------------------------------------------------------

PACKAGES: dict[str, tuple[UNetConfig, dict[str, Any], dict[str, Any]]] = {
    "dtype": (SMALL, {}, {}),
    "padded": (
        NETWORKS["padded"],
        {"intensity_rule": "percentile", "image_dtype": "uint16"},
        {"license": "MIT", "author": "A. Name; B. Name", "name": "Nuclei (H-E)", "cite": "10.1038/s41592-018-0261-2"},
    ),
    "classes": (NETWORKS["release"], {"intensity_rule": "minmax", "image_dtype": "float32"}, {"description": "Cells."}),
}
Packages = Callable[[str], tuple[Path, Exported]]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Packages by name, each written once."""

    @cache
    def package(name: str) -> tuple[Path, Exported]:
        network, fields, options = PACKAGES[name]
        folder = tmp_path_factory.mktemp("package")
        out = folder / "a.zip"
        checkpoint = write_checkpoint(folder, network, **fields)
        return out, export_model(checkpoint, out, ExportParams(format="bioimageio", **options))

    return package


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_is_valid_and_passes_its_own_test(packages: Packages, name: str) -> None:
    out, _ = packages(name)
    with zipfile.ZipFile(out) as archive:
        assert {"README.md", "weights.onnx", "test_input.npy", "test_output.npy"} < set(archive.namelist())
    with quiet_libraries():
        summary = bioimageio.core.test_model(out)
        passed, text = summary.status == "passed", summary.format()
        del summary
    assert passed, text


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """The libraries of bioimage.io warn about themselves, and leave files open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
        gc.collect()


def unpacked(path: Path) -> Path:
    """The description in a package, next to the other files."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.parent / "unpacked")
    return path.parent / "unpacked" / "rdf.yaml"


def described(path: Path) -> Any:
    with quiet_libraries():
        found = load_model_description(unpacked(path), perform_io_checks=False)
    assert isinstance(found, ModelDescr)
    return found


def test_an_unpadded_package_says_that_its_output_is_smaller(packages: Packages) -> None:
    out, done = packages("dtype")
    assert set(done.warnings) == {NO_LICENSE, NO_AUTHOR, UNPADDED}
    model = described(out)
    for axis in model.outputs[0].axes[2:]:
        assert axis.size.offset == -16
        assert not hasattr(axis, "halo")
    spaces = model.inputs[0].axes[2:]
    assert [(a.size.min, a.size.step, a.concatenable) for a in spaces] == [(SMALL.least_tile_px, 2, False)] * 2
    assert [(a.scale, a.unit) for a in spaces] == [(0.5, "micrometer"), (0.25, "micrometer")]


def test_a_padded_package_has_a_halo_and_can_be_cut_into_blocks(packages: Packages) -> None:
    out, written = packages("padded")
    assert [warning.partition(" by ")[0] for warning in written.warnings] == ["images are scaled"]
    model = described(out)
    assert [(axis.size.offset, axis.halo) for axis in model.outputs[0].axes[2:]] == [(0, 8), (0, 8)]
    assert [axis.concatenable for axis in model.inputs[0].axes[2:]] == [True, True]
    assert model.inputs[0].pad.mode == "reflect"
    image = np.random.default_rng(0).integers(0, 200, (1, 1, 80, 64)).astype(np.uint16)
    with quiet_libraries():
        done = bioimageio.core.predict(model=unpacked(out), inputs=image, blocksize_parameter=5)
        found = np.asarray(done.members["probabilities"].data)  # type: ignore[index]
    scaled = torch.from_numpy(scaling_of(TrainingImages.of("percentile", "uint16", SEEN), None).apply(image))
    whole = expected(out.parent / "best.pt", torch.nn.functional.pad(scaled, [8] * 4, mode="reflect"))
    np.testing.assert_allclose(found, whole[..., 8:-8, 8:-8], rtol=0, atol=TOLERANCE)


def test_a_package_names_its_authors_license_and_papers(packages: Packages) -> None:
    model = described(packages("padded")[0])
    assert (model.name, str(model.license)) == ("Nuclei (H-E)", "MIT")
    assert [author.name for author in model.authors] == ["A. Name", "B. Name"]
    assert [str(entry.doi) for entry in model.cite] == ["10.1007/978-3-319-24574-4_28", "10.1038/s41592-018-0261-2"]
    assert model.config.model_dump()["unettrain"]["decoding"]["instances"] == "watershed"
    other = described(packages("classes")[0])
    assert (other.description, other.license) == ("Cells.", None)
    assert [str(name) for name in other.outputs[0].axes[1].channel_names] == ["background", "class1", "class2"]


def test_preprocessing_is_that_of_the_training(packages: Packages) -> None:
    steps = {name: described(packages(name)[0]).inputs[0].preprocessing for name in PACKAGES}
    named = {name: [step.id for step in found] for name, found in steps.items()}
    assert named["dtype"] == ["ensure_dtype", "scale_linear", "clip", "ensure_dtype"]
    assert named["padded"] == named["classes"] == ["ensure_dtype", "scale_range", "clip", "ensure_dtype"]
    assert (steps["dtype"][1].kwargs.gain, steps["dtype"][1].kwargs.offset) == (1 / 255, 0)
    ends = {
        name: (s[1].kwargs.min_percentile, s[1].kwargs.max_percentile) for name, s in steps.items() if name != "dtype"
    }
    assert ends == {"padded": (0.02, 99.98), "classes": (0, 100)}
    assert {(found[2].kwargs.min, found[2].kwargs.max) for found in steps.values()} == {(-0.5, 1.5)}


def test_a_text_that_the_format_refuses_is_named(tmp_path: Path, packages: Packages) -> None:
    out, done = packages("dtype")
    with zipfile.ZipFile(out) as archive:
        content = archive.read("weights.onnx")
        test = tuple(np.load(io.BytesIO(archive.read(f"test_{name}.npy"))) for name in ("input", "output"))
    scaling = scaling_of(TrainingImages.of("dtype", "uint8", SEEN), None)
    cases = {
        "license is 'none of these'\n  allowed: an identifier of spdx.org": ExportParams(license="none of these"),
        r"bioimage\.io format does not allow this: name: .*not restricted": ExportParams(name="Zellkerne \u00e4"),
    }
    for message, params in cases.items():
        with pytest.raises(InvalidInput, match=message):
            write_package(tmp_path / "b.zip", tmp_path, content, params, SMALL, scaling, done.description, test)


# -- intensity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "dtype"), [("dtype", "uint8"), ("dtype", "uint16"), ("minmax", "float32")])
def test_the_exported_scaling_is_that_of_prediction(rule: str, dtype: str) -> None:
    image = np.random.default_rng(0).uniform(3, 190, (1, 1, 30, 40)).astype(dtype)
    expected = scale_intensity(image, *intensity_range(image, rule))
    found = scaling_of(TrainingImages.of(rule, dtype, SEEN), None).apply(image)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_percentiles_are_nearly_those_of_prediction_and_it_says_so() -> None:
    image = np.random.default_rng(0).normal(100, 20, (1, 1, 200, 200)).astype(np.float32)
    scaling = scaling_of(TrainingImages.of("percentile", "float32", SEEN), None)
    assert "medians of 2 x 2 pixels" in scaling.notes[0]
    assert scaling.apply(image).std() == pytest.approx(
        scale_intensity(image, *intensity_range(image, "percentile")).std(), rel=0.5
    )
    assert np.isfinite(scaling.apply(np.ones((1, 1, 4, 4), np.float32))).all()


def test_a_rule_that_cannot_be_exported_asks_for_a_range() -> None:
    with pytest.raises(InvalidInput, match=r"does not record the dtype.*\n  to do:   .*--intensity LOW,HIGH"):
        scaling_of(TrainingImages(), None)
    with pytest.raises(InvalidInput, match=r"rule of the checkpoint is 'dtype'.*\n  to do:   .*--intensity LOW,HIGH"):
        scaling_of(TrainingImages("dtype", "float32"), None)
    assert scaling_of(TrainingImages(), (0.0, 10.0)).as_dict()["range"] == [0.0, 10.0]
    with pytest.raises(InvalidInput, match=r"(?s)intensity is .*LOW is less"):
        ExportParams(intensity=(3, 3))


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "ending"), [("onnx", ".onnx"), ("torch", ".pt2"), ("bioimageio", ".zip")])
def test_a_file_of_another_program_is_not_replaced(
    tmp_path: Path, make_checkpoint: MakeCheckpoint, form: str, ending: str
) -> None:
    checkpoint, params = make_checkpoint(), ExportParams(format=form)
    with pytest.raises(InvalidInput, match=f"ends in {ending}"):
        export_model(checkpoint, tmp_path / "a.bin", params)
    with zipfile.ZipFile(tmp_path / f"b{ending}", "w") as archive:
        archive.writestr("rdf.yaml", "of another program")
    with pytest.raises(Conflict, match="that unettrain export did not write"):
        export_model(checkpoint, tmp_path / f"b{ending}", params, overwrite=True)


def test_an_export_is_recognised_and_replaced_when_asked(
    tmp_path: Path, make_checkpoint: MakeCheckpoint, packages: Packages
) -> None:
    checkpoint, params, out = make_checkpoint(), ExportParams(format="torch"), tmp_path / "a.pt2"
    export_model(checkpoint, out, params)
    before = out.stat().st_mtime_ns
    with pytest.raises(Conflict, match="already exists"):
        export_model(checkpoint, out, params)
    export_model(checkpoint, out, params, overwrite=True)
    assert out.stat().st_mtime_ns > before
    package, _ = packages("dtype")
    assert is_own_export(package)
    with zipfile.ZipFile(package) as archive:
        archive.extract("weights.onnx", tmp_path)
    assert is_own_export(tmp_path / "weights.onnx")
    assert not is_own_export(checkpoint)
    assert not is_own_export(tmp_path)


def test_a_wrong_onnx_model_is_not_written(
    tmp_path: Path, make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "unettrain.export.program.Probabilities.forward", lambda self, image: self.network.unchecked(image)
    )
    with pytest.raises(Failure, match=r"gives other probabilities than torch.*\n  allowed: 1e-05"):
        export_model(make_checkpoint(), tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError("No module named 'onnx'")

    monkeypatch.setattr("unettrain.export.write.import_module", missing)
    with pytest.raises(Failure, match=r"No module named 'onnx'\n  to do:   pip install 'unetprep\[export\]'"):
        export_model(make_checkpoint(), tmp_path / "a.onnx")


def test_the_test_image_is_like_the_training_images_and_not_one_of_them() -> None:
    image = synthetic_image(SMALL, TrainingImages.of("dtype", "uint8", SEEN))
    assert image.dtype == np.uint8
    assert 12 <= image.min() < 40
    assert 140 < image.max() <= 170
    assert SMALL.is_legal_tile(image.shape[-1])
