"""Connected pieces found shard by shard are those of the whole image, wherever the shards end."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import label

from tests.pipeline.conftest import LOCAL, save, tree
from tests.synthetic import cell_labels
from unetprep.engine.importing import import_images
from unetprep.errors import Conflict, InvalidInput
from unetprep.format import layout
from unetprep.format.boxes import shard_box, shard_counts
from unetprep.params import ImportParams
from unetprep.sources.connected_components import AXES_ACROSS, UnionFind
from unetprep.sources.source import Source
from unetprep.stages import first_reading
from unetprep.store import Store


def joined(values: np.ndarray, shard: tuple[int, ...], connectivity: int) -> tuple[int, np.ndarray]:
    """The pieces of (z, y, x) by way of shards, and how many there are."""
    union_find = UnionFind(values.shape, shard, connectivity)
    boxes = {index: shard_box(index, values.shape, shard) for index in np.ndindex(shard_counts(values.shape, shard))}
    pieces = {index: union_find.add(index, values[box]) for index, box in boxes.items()}
    count, names = union_find.label_maps()
    found = np.zeros(values.shape, int)
    for index, box in boxes.items():
        found[box] = names[index].relabel(pieces[index])
    return count, found


def of_the_whole(values: np.ndarray, connectivity: int) -> np.ndarray:
    """The same at once, every slice by itself unless it is a volume."""
    found = np.zeros(values.shape, int)
    for part, image in zip(found, values, strict=True) if connectivity in (4, 8) else [(found, values)]:
        pieces = label(image, connectivity=AXES_ACROSS[connectivity])  # type: ignore[no-untyped-call]
        part[...] = np.where(pieces, pieces + found.max(), 0)
    return found


def same_up_to_names(found: np.ndarray, expected: np.ndarray) -> bool:
    pairs = len(np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1).T)
    return pairs == len(np.unique(found)) == len(np.unique(expected)) and not found[expected == 0].any()


def in_order_of_appearance(found: np.ndarray, shard: tuple[int, ...]) -> bool:
    """Whether 1, 2, 3, ... are met in this order, going through the shards and in each through its pixels."""
    indices = np.ndindex(shard_counts(found.shape, shard))
    met = np.concatenate([found[shard_box(index, found.shape, shard)].ravel() for index in indices])
    ids, first = np.unique(met[met > 0], return_index=True)
    return ids.tolist() == list(range(1, len(ids) + 1)) and bool((np.diff(first) > 0).all())


@given(
    values=hnp.arrays(np.int8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.integers(0, 2)),
    shard=st.tuples(*[st.integers(1, 4)] * 3),
    connectivity=st.sampled_from(sorted(AXES_ACROSS)),
)
def test_pieces_of_shards_are_those_of_the_whole(
    values: np.ndarray, shard: tuple[int, int, int], connectivity: int
) -> None:
    shard = shard if connectivity in (6, 26) else (1, *shard[1:])
    count, found = joined(values, shard, connectivity)
    expected = of_the_whole(values, connectivity)
    assert count == expected.max()
    assert same_up_to_names(found, expected)
    assert in_order_of_appearance(found, shard)


def spiral(side: int) -> np.ndarray:
    """One line from the outside to the centre, its windings one pixel apart."""
    image = np.zeros((side, side), bool)
    y, x, dy, dx = 0, 0, 0, 1
    image[0, 0] = True
    for length in (side - 1, *(n for k in range(side - 1, 0, -2) for n in (k, k))):
        for _ in range(length):
            y, x = y + dy, x + dx
            image[y, x] = True
        dy, dx = dx, -dy
    return image


def comb(side: int) -> np.ndarray:
    """Teeth that are joined along the last row alone."""
    image = np.zeros((side, side), bool)
    image[:, ::2] = image[-1] = True
    return image


def test_windings_through_many_shards_are_one_piece() -> None:
    for image in (spiral(41), comb(41)):
        assert of_the_whole(image[None], 4).max() == 1
        for turned in (image, image[::-1], image.T, image.T[:, ::-1]):
            assert joined(turned[None], (1, 5, 7), 4)[0] == 1
            volume = np.stack([turned, np.zeros_like(turned), turned])
            volume[1, 40, 40] = volume[1, 0, 0] = volume[1, 0, 40] = volume[1, 40, 0] = True
            assert joined(volume, (1, 5, 7), 6)[0] == of_the_whole(volume, 6).max()


@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_a_corner_of_shards_is_passed_by_diagonals_alone(signs: tuple[int, int, int]) -> None:
    volume = np.zeros((4, 4, 4), bool)
    volume[1, 1, 1] = volume[2, 2, 2] = True
    volume = volume[tuple(slice(None, None, s) for s in signs)]
    assert joined(volume, (2, 2, 2), 26)[0] == 1
    assert joined(volume, (2, 2, 2), 6)[0] == 2
    plane: np.ndarray = volume.max(axis=0, keepdims=True)
    assert joined(plane, (1, 2, 2), 8)[0] == 1
    assert joined(plane, (1, 2, 2), 4)[0] == 2


def test_neighbours_of_another_value_are_another_piece() -> None:
    values = np.array([[[1, 1, 2, 2, 1]]])
    assert joined(values, (1, 1, 2), 8)[1].tolist() == [[[1, 1, 2, 2, 3]]]


# -- as an import -----------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for dims, chunk, shard in ((2, (1, 8, 8), (1, 16, 24)), (3, (4, 4, 4), (4, 8, 12))):
        monkeypatch.setitem(layout.PIXEL_CHUNK, dims, chunk)
        monkeypatch.setitem(layout.PIXEL_SHARD, dims, shard)


def components(folder: Path, mask: np.ndarray, **params: object) -> np.ndarray:
    url = str(folder / "ds.zarr")
    options = ImportParams(instances="components", **params)  # type: ignore[arg-type]
    import_images(url, [], [save(folder / "y.npy", mask)], options, LOCAL)
    return np.asarray(Store.open(url).array("images/y/labels/instances/instances")[:])


@pytest.mark.usefixtures("tiny_shards")
@pytest.mark.parametrize(
    ("dims", "connectivity", "sides"), [(2, 4, 1), (2, 8, 2), (3, 6, 1), (3, 26, 3), (3, "auto", 1)]
)
def test_an_import_of_components_is_the_labelling_of_the_whole(
    tmp_path: Path, dims: int, connectivity: str | int, sides: int
) -> None:
    mask = np.random.default_rng(0).random((7, 60, 50)) < 0.4
    found = components(tmp_path, mask, dims=dims, connectivity=connectivity)
    structure = ndimage.generate_binary_structure(3, sides)
    if dims == 2:
        structure[[0, 2]] = False
    expected, count = ndimage.label(mask, structure)
    assert found.dtype == np.int32
    assert sorted(np.unique(found)) == list(range(count + 1))
    assert same_up_to_names(found, expected)


@pytest.mark.usefixtures("tiny_shards")
def test_components_are_those_of_each_strip(tmp_path: Path) -> None:
    mask = np.pad(np.ones((60, 3), np.uint8), 4)
    url, path = str(tmp_path / "ds.zarr"), save(tmp_path / "y.npy", mask)
    import_images(url, [], [path], ImportParams(instances="components", test_fraction=0.4), LOCAL)
    store = Store.open(url)
    found = [np.asarray(store.array(f"images/y-{s}/labels/instances/instances")[0]) for s in ("train", "test")]
    np.testing.assert_array_equal(np.concatenate(found), mask)


@pytest.mark.usefixtures("tiny_shards")
def test_an_interrupted_import_of_components_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    mask = cell_labels((90, 80), 60, radius=6) > 0
    components(tmp_path, mask)
    before = tree(tmp_path / "ds.zarr")
    shards = [p for p in (tmp_path / "ds.zarr/images/y/labels/instances/instances/c").rglob("*") if p.is_file()]
    for shard in shards[1::2]:
        shard.unlink()
    components(tmp_path, mask)
    assert tree(tmp_path / "ds.zarr") == before


def test_another_rule_is_a_conflict_that_names_it(tmp_path: Path) -> None:
    mask = np.kron(np.eye(4, dtype=np.uint8), np.ones((5, 5), np.uint8))
    assert components(tmp_path, mask).max() == 4
    with pytest.raises(Conflict, match="connectivity is 4 there and 8 now"):
        components(tmp_path, mask, connectivity=8)
    with pytest.raises(Conflict, match="ignore-label is None there and 7 now"):
        components(tmp_path, mask, ignore_label=7)
    with pytest.raises(Conflict, match="instances is components there and ids now"):
        import_images(str(tmp_path / "ds.zarr"), [], [str(tmp_path / "y.npy")], ImportParams(instances="ids"), LOCAL)


@pytest.mark.parametrize(("dims", "connectivity"), [(2, 6), (2, 26), (3, 4), (3, 8)])
def test_a_connectivity_of_other_dims_is_refused(dims: int, connectivity: str | int) -> None:
    with pytest.raises(InvalidInput, match=f"connectivity is {connectivity} with dims {dims}\n  allowed: . or"):
        ImportParams(dims=dims, connectivity=connectivity)


def test_the_connectivity_decides_what_looks_like_a_mask(tmp_path: Path) -> None:
    mask = np.kron(np.eye(4, dtype=np.uint8), np.ones((5, 5), np.uint8))
    path = save(tmp_path / "y.npy", mask)
    import_images(str(tmp_path / "one.zarr"), [], [path], ImportParams(connectivity=8), LOCAL)
    with pytest.raises(InvalidInput, match="its only label is 1, in 4 separate pieces"):
        import_images(str(tmp_path / "two.zarr"), [], [path], ImportParams(), LOCAL)


def test_more_pieces_than_can_be_numbered_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_reading, "LARGEST_LABEL", 4)
    mask = np.eye(5, dtype=np.uint8)
    with pytest.raises(InvalidInput, match=r"y\.npy has 5 connected components\n  allowed: up to 4 cells"):
        components(tmp_path, mask)
    assert not (tmp_path / "ds.zarr").exists()
    assert components(tmp_path, mask[:4]).max() == 4


@pytest.mark.usefixtures("tiny_shards")
def test_each_shard_is_read_twice_and_none_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once to plan and once to write; a single cell, which may be a mask, once more."""
    sizes: list[int] = []
    read = Source.read

    def counting(self: Source, box: tuple[slice, ...]) -> np.ndarray:
        block = read(self, box)
        sizes.append(block.size)
        return block

    monkeypatch.setattr(Source, "read", counting)
    mask = cell_labels((90, 80), 60, radius=6) > 0
    components(tmp_path, mask)
    assert (sum(sizes), max(sizes)) == (2 * mask.size, 16 * 24)
    sizes.clear()
    one = save(tmp_path / "one.npy", np.pad(np.ones((50, 40), np.uint8), 20))
    import_images(str(tmp_path / "one.zarr"), [], [one], ImportParams(test_fraction=0.2), LOCAL)
    assert (sum(sizes), max(sizes)) == (3 * 90 * 80, 16 * 24)
