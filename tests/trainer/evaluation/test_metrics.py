"""`evaluate_metrics`: the rules of pooling, reading in blocks, pairing, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from tests.synthetic import cell_labels
from tests.trainer.evaluation.helpers import CELL, LABELS
from tests.trainer.metrics.disks import disks, proposed
from unetprep.format.boxes import Box
from unetprep.kernels.separate import separate_instances
from unetprep.kernels.thinning import thin_background
from unettrain.errors import InvalidInput
from unettrain.evaluation.blocks import Numbers
from unettrain.evaluation.many import MetricScores, evaluate_metrics
from unettrain.evaluation.metric_table import INSTANCES, METRICS, PROBABILITY, named_metrics
from unettrain.evaluation.params import EvaluateParams
from unettrain.metrics import (
    Matching,
    Seg,
    adapted_rand,
    label_components,
    match_instances,
    pixel_error_curve,
    score_instances,
    seg,
    v_info_curve,
    v_rand_curve,
    variation_of_information,
    warping_error_curve,
)
from unettrain.metrics.challenge import objects
from unettrain.metrics.instances import overlap_table

ALL = ",".join(METRICS)
SEPARATE = label_components(separate_instances(LABELS))  # cells that do not touch


def saved(folder: Path, **arrays: NDArray[Any]) -> None:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def evaluated(folder: Path, **options: Any) -> MetricScores:
    params = EvaluateParams(**options)
    return evaluate_metrics(folder / "prediction.npy", folder / "labels.npy", params)


def folders(folder: Path, num: int) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    pairs = [(disks(30 + k, 120, k), proposed(disks(30 + k, 120, k))) for k in range(num)]
    for k, (labels, proposal) in enumerate(pairs):
        for name, array in ((f"labels/{k}_mask.npy", labels), (f"found/{k}.npy", proposal)):
            (folder / name).parent.mkdir(exist_ok=True)
            np.save(folder / name, array)
    return pairs


def test_images_are_scored_each_and_pooled_by_the_rule_of_each_metric(tmp_path: Path) -> None:
    pairs = folders(tmp_path, 3)
    names = "iou,ap,seg,variation_of_information,adapted_rand"
    done = evaluate_metrics(tmp_path / "found", tmp_path / "labels", EvaluateParams(metrics=names))
    assert [image.name for image in done.images] == ["0", "1", "2"]
    assert done.images[1].counts["seg"].values()["mean"] == seg(*pairs[1])
    pooled = sum((match_instances(*pair) for pair in pairs), Matching())
    assert done.value("ap", "0.50") == pooled.average_precision
    assert done.value("seg") == pytest.approx(sum((overlap_table(*pair).seg() for pair in pairs), Seg()).value)
    assert done.value("variation_of_information", "split") == pytest.approx(
        np.mean([variation_of_information(*pair).split for pair in pairs])
    )
    assert done.value("adapted_rand") == pytest.approx(np.mean([adapted_rand(*pair).error for pair in pairs]))
    scores = sum(
        (score_instances(proposal, labels).pixels for labels, proposal in pairs[1:]),
        start=score_instances(pairs[0][1], pairs[0][0]).pixels,
    )
    assert done.value("iou") == scores.iou


@pytest.mark.parametrize("dims", [2, 3])
def test_a_volume_is_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dims: int) -> None:
    labels = np.stack([cell_labels((60, 70), 15, seed) for seed in (1, 1, 2)]).astype(np.int32)
    labels[0, :5] = -1
    proposal = np.roll(np.maximum(labels, 0), 2, axis=2)
    for name, array in (("labels", labels), ("prediction", proposal)):
        zarr.create_array(tmp_path / f"{name}.zarr", data=array, chunks=(2, 32, 32))
    reads: list[int] = []
    read = Numbers.__getitem__

    def watched(numbers: Numbers, box: Box) -> NDArray[np.int32]:
        found = read(numbers, box)
        reads.append(found.size)
        return found

    monkeypatch.setattr(Numbers, "__getitem__", watched)
    monkeypatch.setattr("unettrain.metrics.contingency.BLOCK_PX", 8192)
    options: dict[str, Any] = {"dims": dims, "ignore_label": -1, "prediction": "instances", "instances": "ids"}
    params = EvaluateParams(metrics="iou,ap,seg,variation_of_information,adapted_rand", **options)
    done = evaluate_metrics(tmp_path / "prediction.zarr", tmp_path / "labels.zarr", params)
    assert len(reads) == 2 * 2 * 2
    assert max(reads) == 2 * 32 * 70
    expected = score_instances(proposal, labels, dims)
    assert done.value("ap") == pytest.approx(expected.mean_ap)
    assert done.value("iou") == expected.pixels.iou
    parts = [(labels, proposal)] if dims == 3 else list(zip(labels, proposal, strict=True))
    assert done.value("variation_of_information") == pytest.approx(
        np.mean([variation_of_information(*part).total for part in parts])
    )
    found = expected.cells[0]
    assert f"({found.tp + found.fp + found.ignored} objects)" in done.images[0].prediction_read_as
    assert f"(350 pixels ignored, {found.tp + found.fn} cells)" in done.images[0].labels_read_as


def test_blocks_and_memory_give_the_same_scores_and_words(tmp_path: Path) -> None:
    saved(tmp_path, prediction=np.roll(LABELS, 2, axis=0), labels=LABELS)
    names = "iou,dice,ap,seg,variation_of_information,adapted_rand"
    in_blocks = evaluated(tmp_path, metrics=names)
    saved(tmp_path, prediction=np.roll(LABELS, 2, axis=0).astype(np.float64))  # real numbers are read into memory
    in_memory = evaluated(tmp_path, metrics=names)
    assert in_memory.as_dict()["overall"] == in_blocks.as_dict()["overall"]
    assert in_memory.images[0].labels_read_as == in_blocks.images[0].labels_read_as


@pytest.mark.parametrize("which", ["prediction", "labels"])
def test_values_are_checked_also_where_they_are_read_in_blocks(tmp_path: Path, which: str) -> None:
    saved(tmp_path, prediction=LABELS, labels=LABELS)
    saved(tmp_path, **{which: np.rint(CELL * 255).astype(np.uint8)})
    with pytest.raises(InvalidInput, match=f"{which}.npy .*values change gradually"):
        evaluated(tmp_path, metrics="seg")


def test_background_is_left_out_on_request(tmp_path: Path) -> None:
    saved(tmp_path, prediction=np.roll(LABELS, 2, axis=0), labels=LABELS)
    done = evaluated(tmp_path, metrics="adapted_rand", ignore_background=True)
    assert done.value("adapted_rand") == adapted_rand(LABELS, np.roll(LABELS, 2, axis=0), ignore_background=True).error


def test_metrics_of_probabilities_are_given_at_all_thresholds_and_at_one(tmp_path: Path) -> None:
    saved(tmp_path, prediction=CELL.astype(np.float32), labels=SEPARATE)
    done = evaluated(tmp_path, metrics="pixel_error,warping_error", threshold=0.45)
    for name, curve in (("pixel_error", pixel_error_curve), ("warping_error", warping_error_curve)):
        scores, values = curve(SEPARATE, CELL.astype(np.float32)), done.overall[name].values()
        assert (values["best"], values["best_threshold"]) == (scores.best, scores.best_threshold)
        assert (values["threshold"], values["at_threshold"]) == (
            0.45,
            curve(SEPARATE, CELL.astype(np.float32), [0.45]).values[0],
        )
    at_half = evaluated(tmp_path, metrics="pixel_error").overall["pixel_error"].values()
    assert (at_half["threshold"], at_half["at_threshold"]) == (
        0.5,
        pixel_error_curve(SEPARATE, CELL.astype(np.float32)).at(0.5),
    )


def test_predictions_of_different_thresholds_are_refused_before_they_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("predicted", "labels"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        np.save(tmp_path / f"predicted/{name}.npy", CELL.astype(np.float32))
        np.save(tmp_path / f"labels/{name}.npy", SEPARATE)
    recorded: dict[str, float | None] = {"a.npy": 0.4, "b.npy": 0.30000000000000004}
    monkeypatch.setattr("unettrain.evaluation.many.recorded_threshold", lambda path: recorded[Path(path).name])
    paths = str(tmp_path / "predicted"), str(tmp_path / "labels")
    with pytest.raises(InvalidInput, match=r"a\.npy is 0\.4, that of .*b\.npy 0\.3\n.*\n.*--threshold 0\.4"):
        evaluate_metrics(*paths, EvaluateParams(metrics="pixel_error"), lambda done, num: pytest.fail("has scored"))
    assert len(evaluate_metrics(*paths, EvaluateParams(metrics="pixel_error", threshold=0.4)).images) == 2
    with pytest.raises(InvalidInput, match=r"a\.npy is 0\.4, that of .*b\.npy 0\.3"):
        evaluate_metrics(*paths, EvaluateParams(metrics="ap"))
    recorded |= dict.fromkeys(recorded)  # as instance labels do
    assert len(evaluate_metrics(*paths, EvaluateParams(metrics="ap")).images) == 2


def test_ignore_background_is_refused_where_it_changes_nothing() -> None:
    for metrics in ("", "ap,iou"):
        with pytest.raises(InvalidInput, match="ignore-background changes none of the metrics ap, iou"):
            EvaluateParams(metrics=metrics, ignore_background=True)


def test_v_rand_and_v_info_share_one_thinning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, prediction=CELL.astype(np.float32), labels=SEPARATE)
    curves = {"v_rand": v_rand_curve, "v_info": v_info_curve}
    expected = {name: curve(SEPARATE, CELL.astype(np.float32)).best for name, curve in curves.items()}
    thinned: list[int] = []

    def counted(labels: NDArray[np.int32]) -> NDArray[np.int32]:
        thinned[-1] += 1
        return thin_background(labels)

    monkeypatch.setattr(objects, "thin_background", counted)
    for metrics in ("v_rand", "v_rand,v_info"):
        thinned.append(0)
        found = evaluated(tmp_path, metrics=metrics).overall
        assert {name: counts.values()["best"] for name, counts in found.items()}.items() <= expected.items()
    assert thinned[0] == thinned[1] > 0


def test_every_metric_of_the_table_is_computed(tmp_path: Path) -> None:
    saved(tmp_path, prediction=CELL.astype(np.float32), labels=SEPARATE)
    done = evaluated(tmp_path, metrics=ALL)
    assert set(done.overall) == set(METRICS)
    for metric in done.metrics:
        assert np.isfinite(done.value(metric.name)), metric.name
    saved(tmp_path, prediction=SEPARATE > 0)
    perfect = evaluated(tmp_path, metrics=ALL, instances="ids")
    for metric in perfect.metrics:
        assert perfect.value(metric.name) == pytest.approx(float(metric.higher_is_better)), metric.name


def test_classes_are_scored_each(tmp_path: Path) -> None:
    classes = np.where(LABELS > 0, 1 + LABELS % 2, 0)
    saved(tmp_path, prediction=np.roll(classes, 1, axis=0), labels=classes)
    values = evaluated(tmp_path, metrics="iou", num_classes=3, prediction="classes").overall["iou"].values()
    assert list(values) == ["foreground", "class 1", "class 2"]
    a, b = classes == 2, np.roll(classes, 1, axis=0) == 2
    assert values["class 2"] == (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.needs == PROBABILITY])
def test_instance_labels_have_no_metrics_of_probabilities(tmp_path: Path, name: str) -> None:
    saved(tmp_path, prediction=LABELS, labels=LABELS)
    with pytest.raises(InvalidInput, match=rf"instance labels, of which {name} cannot be computed\n(.|\n)*probabilit"):
        evaluated(tmp_path, metrics=name)


def test_the_guide_lists_the_metrics() -> None:
    guide = (Path(__file__).parents[3] / "docs/evaluation.md").read_text()
    rows = [row for row in guide.splitlines() if row.startswith("| `") and row.count("|") == 5 and "`: " in row]
    assert rows == [f"| `{m.name}`: {m.title} | {m.needs} | {m.pooling} | {m.better} |" for m in METRICS.values()]


def test_names_of_metrics() -> None:
    assert [metric.name for metric in named_metrics("ap, v-rand,ap")] == ["ap", "v_rand"]
    assert [metric.name for metric in named_metrics("")] == ["iou", "ap"]
    assert METRICS["seg"].needs == INSTANCES
    with pytest.raises(InvalidInput, match=r"there is no v_rnad\n(.|\n)*did you mean 'v_rand'"):
        EvaluateParams(metrics="ap,v_rnad")


def test_what_predict_writes_beside_labels_is_left_out(tmp_path: Path) -> None:
    folders(tmp_path, 2)
    for k in range(2):
        np.save(tmp_path / f"found/{k}.probabilities.npy", CELL)
    done = evaluate_metrics(tmp_path / "found", tmp_path / "labels")
    assert [image.prediction_kind for image in done.images] == ["instances"] * 2
    for k in range(2):
        np.save(tmp_path / f"labels/{k}_mask.npy", SEPARATE)
    params = EvaluateParams(metrics="pixel_error")
    named = evaluate_metrics(f"{tmp_path}/found/*.probabilities.npy", tmp_path / "labels", params)
    assert [(image.name, image.prediction_kind) for image in named.images] == [
        ("0", "probability"),
        ("1", "probability"),
    ]


def test_every_image_needs_a_partner(tmp_path: Path) -> None:
    folders(tmp_path, 2)
    (tmp_path / "found/1.npy").unlink()
    with pytest.raises(InvalidInput, match=r"1 images have no prediction of their name: .*1_mask.npy"):
        evaluate_metrics(tmp_path / "found", tmp_path / "labels")
    (tmp_path / "labels/1_mask.npy").unlink()
    np.save(tmp_path / "found/7.npy", LABELS)
    with pytest.raises(InvalidInput, match=r"1 images have no labels of their name: .*7.npy"):
        evaluate_metrics(tmp_path / "found", tmp_path / "labels")


def test_an_error_names_the_image(tmp_path: Path) -> None:
    folders(tmp_path, 2)
    for k in range(2):
        np.save(tmp_path / f"found/{k}.npy", (disks(3, 120, k) > 0).astype(np.float32))
    with pytest.raises(InvalidInput, match=r"0_mask.npy: labels have different numbers that touch"):
        evaluate_metrics(tmp_path / "found", tmp_path / "labels", EvaluateParams(metrics="warping_error"))
