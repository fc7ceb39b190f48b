from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.transform import resize

from tests.pipeline.conftest import LOCAL, save
from tests.synthetic import cell_labels
from unetprep.engine.importing import import_images
from unetprep.errors import InvalidInput
from unetprep.format import layout
from unetprep.linting.linter import Linted, lint
from unetprep.linting.rules import Finding
from unetprep.params import LINT_RULES, ImportParams, LintParams
from unetprep.sources import open_source
from unetprep.sources.label_scan import survey

CELLS = cell_labels((150, 140), 40)


def look(
    folder: Path, labels: np.ndarray, *, ignored: tuple[str, ...] = (), ending: str = "npy", **params: Any
) -> Linted:
    (found,) = lint([save(folder / f"y.{ending}", labels)], LintParams(**params), ignored)
    assert {finding.rule for finding in found.findings} <= set(LINT_RULES)
    return found


def rules(found: Linted) -> list[str]:
    return [finding.rule for finding in found.findings]


def only(found: Linted) -> Finding:
    (finding,) = found.findings
    return finding


def squares(*corners: tuple[int, int], side: int = 6, shape: tuple[int, int] = (64, 64)) -> np.ndarray:
    """A square cell at each place, numbered from 1."""
    labels = np.zeros(shape, np.uint16)
    for number, (y, x) in enumerate(corners, 1):
        labels[y : y + side, x : x + side] = number
    return labels


GRID = [(y, x) for y in range(2, 250, 8) for x in range(2, 250, 8)]  # 961 cells that do not touch


def test_nothing_is_found_in_clean_labels(tmp_path: Path) -> None:
    found = look(tmp_path, squares((2, 2), (20, 2), (2, 30)))
    assert (found.cells, found.shape, found.dtype, found.findings) == (3, (64, 64), "uint16", [])
    assert rules(look(tmp_path, CELLS)) == ["touching"]


# -- touching ---------------------------------------------------------------------------------------------------------


def touching_of(labels: np.ndarray) -> tuple[dict[tuple[int, int], tuple[int, ...]], int]:
    """Pairs and the first pixel that has the other beside it further on; pixels that touch. One pixel at a time."""
    pairs: dict[tuple[int, int], tuple[int, ...]] = {}
    pixels = set()
    for here in np.ndindex(labels.shape):
        for step in np.ndindex((3,) * labels.ndim):
            there = tuple(h + s - 1 for h, s in zip(here, step, strict=True))
            if all(0 <= t < n for t, n in zip(there, labels.shape, strict=True)):
                a, b = int(labels[here]), int(labels[there])
                if a != b and min(a, b) > 0:
                    pixels.add(here)
                    if there > here:
                        pairs.setdefault((min(a, b), max(a, b)), here)
    return pairs, len(pixels)


@pytest.mark.parametrize("dims", [2, 3])
def test_pairs_that_touch_are_those_of_a_slow_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dims: int
) -> None:
    labels = np.kron(np.random.default_rng(2).integers(0, 9, (4, 4, 5)), np.ones((2, 3, 4), int))
    labels = labels[:1] if dims == 2 else labels
    tiny_shards(monkeypatch)
    (finding,) = (f for f in look(tmp_path, labels, dims=dims).findings if f.rule == "touching")
    pairs, num_pixels = touching_of(labels[0] if dims == 2 else labels)
    found = {(place.what["id"], place.what["other"]): place.at for place in finding.places}
    assert found == pairs
    assert finding.count == len(pairs)
    assert finding.message.endswith(f"at {num_pixels} pixels")
    assert "--separate" in finding.hint


def test_a_corner_is_a_contact_and_a_pixel_of_background_is_none(tmp_path: Path) -> None:
    finding = only(look(tmp_path, squares((2, 2), (8, 8), (2, 9))))
    assert [(place.at, place.what) for place in finding.places] == [
        ((7, 7), {"id": 1, "other": 2}),
        ((7, 9), {"id": 2, "other": 3}),
    ]
    assert look(tmp_path, squares((2, 2), (9, 9), (2, 9))).findings == []


def test_a_pair_counts_in_every_slice_and_once_in_a_volume(tmp_path: Path) -> None:
    stack = np.stack([squares((2, 2), (8, 2))] * 3)
    assert only(look(tmp_path, stack)).count == 3
    assert only(look(tmp_path, stack, dims=3)).count == 1


def test_the_edge_of_the_image_is_no_outline(tmp_path: Path) -> None:
    halves = np.repeat(np.array([[1, 2]]), 10, axis=1).repeat(9, axis=0)
    source = open_source(save(tmp_path / "y.npy", halves))
    seen = survey(source, 2, 8, None, lambda: None)
    assert (seen.outline_px, seen.touching_px) == (18, 18)
    assert seen.components.between_px.tolist() == [0, 0]


# -- split and tiny ---------------------------------------------------------------------------------------------------


def test_cells_in_pieces_are_named_the_worst_first(tmp_path: Path) -> None:
    labels = squares((2, 2), (2, 30), (40, 2), (40, 30))
    labels[20:24, 20:24], labels[20:24, 50:54], labels[30:34, 50:54] = 2, 4, 4
    finding = only(look(tmp_path, labels))
    assert (finding.rule, finding.count) == ("split", 2)
    assert [(place.at, place.what) for place in finding.places] == [
        ((20, 50), {"id": 4, "pieces": 3, "px": 16}),
        ((20, 20), {"id": 2, "pieces": 2, "px": 16}),
    ]


def test_a_corner_holds_a_piece_together_unless_sides_are_asked_for(tmp_path: Path) -> None:
    labels = squares((2, 2), (8, 8), (30, 30))
    labels[labels == 2] = 1
    assert look(tmp_path, labels).findings == []
    assert rules(look(tmp_path, labels, connectivity=4)) == ["split"]


def test_slices_have_cells_of_their_own_and_a_volume_has_not(tmp_path: Path) -> None:
    stack = np.stack([squares((2, 2), (20, 20)), squares((2, 2), (40, 40)) // 2 * 3 + squares((30, 2))])
    assert look(tmp_path, stack).findings == []
    assert look(tmp_path, stack).cells == 4
    volume = look(tmp_path, stack, dims=3)
    assert (volume.cells, rules(volume)) == (3, ["split"])
    stack[0, 50:54, 50:54] = 2
    assert only(look(tmp_path, stack)).hint.endswith("--dims 3")


def test_tiny_pieces_and_their_limit(tmp_path: Path) -> None:
    labels = squares((2, 2), (20, 20))
    labels[40, 40:49], labels[50, 40:50] = 3, 4
    finding = only(look(tmp_path, labels))
    assert (finding.rule, finding.count) == ("tiny", 1)
    assert (finding.places[0].at, finding.places[0].what) == ((40, 40), {"id": 3, "px": 9})
    assert only(look(tmp_path, labels, tiny_px=11)).count == 2
    assert look(tmp_path, labels, tiny_px=0).findings == []
    assert only(look(tmp_path, np.stack([labels] * 2), dims=3)).count == 2


# -- values that are no cells -----------------------------------------------------------------------------------------


def test_fractions_and_real_numbers(tmp_path: Path) -> None:
    labels = squares((2, 2), (20, 20)).astype(np.float32)
    assert only(look(tmp_path, labels)).rule == "float"
    labels[5, 6] = np.nan
    finding = only(look(tmp_path, labels))
    assert (finding.rule, finding.count, finding.places[0].at) == ("float", 1, (5, 6))
    labels[3, 4] = 0.5
    found = look(tmp_path, labels)
    assert rules(found) == ["float", "interpolated"]
    assert (found.findings[1].count, found.findings[1].places[0].what) == (1, {"value": 0.5})


ZOOMS = {
    "twice": lambda a: ndimage.zoom(a, 2, order=1),
    "half": lambda a: ndimage.zoom(a, 0.5, order=1),
    "0.7": lambda a: ndimage.zoom(a, 0.7, order=1),
    "smoothed": lambda a: resize(a, (75, 70), order=1, preserve_range=True).astype(np.uint16),  # type: ignore[no-untyped-call]
    "a mask": lambda a: ndimage.zoom((a > 0).astype(np.uint8) * 255, 1.3, order=1),
}


@pytest.mark.parametrize("zoom", ZOOMS)
def test_interpolation_is_seen_and_its_numbers_are_not_judged(tmp_path: Path, zoom: str) -> None:
    changed = ZOOMS[zoom](CELLS)
    assert rules(look(tmp_path, changed)) == ["interpolated"]
    assert "touching" in rules(look(tmp_path, changed, ignored=("interpolated",)))


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.7, 2.0])
def test_labels_resized_to_the_nearest_are_not_interpolated(tmp_path: Path, factor: float) -> None:
    assert "interpolated" not in rules(look(tmp_path, ndimage.zoom(CELLS, factor, order=0)))


def test_one_thin_cell_between_two_others_is_no_interpolation(tmp_path: Path) -> None:
    labels = squares(*GRID[:30], shape=(64, 256)) + (squares(*GRID[:30], shape=(64, 256)) > 0)
    labels[40:62, 20:23] = (1, 2, 3)
    (before, after) = ({f.rule for f in look(tmp_path, x).findings} for x in (labels, labels[38:, 16:26]))
    assert (before, after) == ({"touching", "split"}, {"interpolated"})


def test_a_mask_saved_as_jpeg(tmp_path: Path) -> None:
    assert rules(look(tmp_path, (CELLS > 0).astype(np.uint8) * 255, ending="jpg")) == ["interpolated"]


def test_negative_and_too_large_values(tmp_path: Path) -> None:
    labels = squares((2, 2), (20, 20)).astype(np.int64)
    labels[5, 60], labels[7, 61:63] = -3, 2**31
    found = look(tmp_path, labels)
    assert [(f.rule, f.count, f.places[0].what["value"]) for f in found.findings] == [
        ("overflow", 1, -3),
        ("overflow", 2, 2**31),
    ]
    assert found.cells == 2
    assert look(tmp_path, np.where(labels > 9, 0, labels), ignore_label=-3).findings == []


def test_numbers_that_wrapped_round_or_were_cut_off(tmp_path: Path) -> None:
    many = squares(*GRID[:270], shape=(256, 256))
    wrapped = look(tmp_path, many.astype(np.uint8))
    assert rules(wrapped) == ["overflow", "split"]
    assert (wrapped.findings[0].count, wrapped.findings[0].places[0].what["id"]) == (14, 1)
    some = np.where((many > 99) & (many < 110), 0, many)
    assert rules(look(tmp_path, some.astype(np.uint8))) == ["overflow", "split"]
    cut = look(tmp_path, many.clip(0, 255).astype(np.uint8))
    assert rules(cut) == ["overflow", "split"]
    assert "--ignore-label 255" in cut.findings[0].hint
    assert look(tmp_path, many).findings == []
    assert look(tmp_path, squares(*GRID[:255], shape=(256, 256)).astype(np.uint8)).findings == []


def test_a_few_stray_pieces_are_no_overflow(tmp_path: Path) -> None:
    labels = squares(*GRID[:250], shape=(256, 256)).astype(np.uint8)
    for number in range(1, 30):
        labels[200, 8 * number], labels[1, 8 * number] = number, number
    assert "overflow" not in rules(look(tmp_path, labels))


# -- masks and nothing ------------------------------------------------------------------------------------------------


def test_masks_and_empty_images(tmp_path: Path) -> None:
    mask = (squares((2, 2), (20, 20), (40, 40)) > 0).astype(np.uint8) * 255
    finding = only(look(tmp_path, mask))
    assert (finding.rule, finding.count) == ("binary", 3)
    assert look(tmp_path, squares((2, 2))).findings == []
    assert only(look(tmp_path, mask * 0)).rule == "empty"
    assert only(look(tmp_path, mask, ignore_label=255)).rule == "empty"
    assert look(tmp_path, mask, ignored=("binary",)).findings == []


# -- blocks, files and stores -----------------------------------------------------------------------------------------


def tiny_shards(monkeypatch: pytest.MonkeyPatch, side: int = 4) -> None:
    for dims, shape in ((2, (1, side, side + 3)), (3, (3, side, side + 1))):
        monkeypatch.setitem(layout.PIXEL_CHUNK, dims, (1, 1, 1))
        monkeypatch.setitem(layout.PIXEL_SHARD, dims, shape)


@given(
    labels=hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=3, max_side=11), elements=st.integers(-1, 4)),
    dims=st.sampled_from([2, 3]),
)
def test_blocks_of_any_size_give_the_same(
    tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray, dims: int
) -> None:
    folder = tmp_path_factory.mktemp("lint")
    labels = labels if labels.shape[-1] > 4 else np.repeat(labels, 5, axis=-1)  # or they would be channels
    whole = look(folder, labels, ignored=("interpolated",), dims=dims)
    with pytest.MonkeyPatch.context() as patch:
        tiny_shards(patch)
        assert look(folder, labels, ignored=("interpolated",), dims=dims) == whole


@pytest.mark.parametrize("labels", [CELLS, ZOOMS["half"](CELLS), CELLS.astype(np.uint8) * 6], ids=range(3))
def test_blocks_of_any_size_give_the_same_for_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: np.ndarray
) -> None:
    whole = look(tmp_path, labels)
    assert whole.findings
    tiny_shards(monkeypatch, 33)
    assert look(tmp_path, labels) == whole


def test_a_store_knows_how_its_labels_are_to_be_seen(tmp_path: Path) -> None:
    labels = np.stack([squares((2, 2), (30, 30), side=20)] * 3).astype(np.int16)
    labels[:, :, 60:], labels[0, 2, 2:] = -5, -5
    path, url = save(tmp_path / "y.npy", labels), str(tmp_path / "ds.zarr")
    import_images(url, [], [path], ImportParams(dims=3, ignore_label=-5), LOCAL)
    (found,) = lint([url], LintParams())
    assert (found.path, found.cells, found.findings) == (f"{url}/images/y/labels/instances/instances", 2, [])
    (alone,) = lint([f"{url}/images/y/labels/instances"], LintParams())
    assert (alone.cells, rules(alone)) == (6, ["overflow"])


def test_folders_and_what_cannot_be_read(tmp_path: Path) -> None:
    save(tmp_path / "b.npy", CELLS)
    save(tmp_path / "a.tif", CELLS)
    done: list[tuple[int, int]] = []
    found = lint([str(tmp_path)], LintParams(), on_progress=lambda *at: done.append(at))
    assert [Path(image.path).name for image in found] == ["a.tif", "b.npy"]
    assert done == [(1, 2), (2, 2)]
    with pytest.raises(InvalidInput, match="has dtype complex64"):
        look(tmp_path, CELLS.astype(np.complex64))
    with pytest.raises(InvalidInput, match="has 3 channels"):
        look(tmp_path, np.random.default_rng(0).integers(0, 9, (9, 9, 3)).astype(np.uint8))
