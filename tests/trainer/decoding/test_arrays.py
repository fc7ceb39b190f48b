from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from tests.trainer.decoding import reference
from tests.trainer.decoding.images import Image, blobs, discs, random_cells
from unettrain.decoding import strips
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.decoder import Decoder
from unettrain.decoding.params import DecodingParams
from unettrain.errors import InvalidInput

PLAIN = DecodingParams(min_area_px=0, fill_holes_px=0)

images = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 13), st.integers(1, 13)),
    elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9, 1.0]),
)
parameters = st.builds(
    DecodingParams,
    instances=st.sampled_from(["watershed", "components"]),
    threshold=st.sampled_from([0.25, 0.5, 0.9]),
    seeds=st.sampled_from(["distance", "probability"]),
    smoothing_px=st.sampled_from([0.0, 0.5, 1.0]),
    min_depth=st.sampled_from([0.0, 0.1, 0.4, 1.0]),
    min_area_px=st.sampled_from([0, 4]),
    fill_holes_px=st.sampled_from([0, 1, 6]),
    grow_px=st.sampled_from([0, 1, 3]),
)


@settings(max_examples=300)
@given(images, parameters, st.integers(1, 5))
def test_equals_the_definition_pixel_by_pixel(image: Image, params: DecodingParams, rows: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "LEAST_ROWS", rows)
        patch.setattr(strips, "MOST_ROWS", rows)
        found = separate_instances(image, params)
    np.testing.assert_array_equal(found, reference.separate(image, params))


@given(st.integers(1, 64), st.lists(st.integers(1, 40), min_size=1), st.integers(1, 3), parameters, st.integers(0, 9))
@settings(max_examples=60)
def test_bands_strips_and_threads_change_nothing(
    rows: int, bands: list[int], num_threads: int, params: DecodingParams, seed: int
) -> None:
    volume = np.stack([blobs((90, 70), seed), blobs((90, 70), seed + 1)])
    expected = separate_instances(volume, params)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "LEAST_ROWS", rows)
        patch.setattr(strips, "MOST_ROWS", rows)
        with Decoder(volume.shape, params, num_threads) as decoder:
            for z, plane in enumerate(volume):
                y0 = k = 0
                while y0 < len(plane):
                    decoder.add(z, y0, plane[y0 : y0 + bands[k % len(bands)]])
                    y0, k = y0 + bands[k % len(bands)], k + 1
            found = np.stack([decoder.read(z, slice(None), slice(None)) for z in range(len(volume))])
            assert decoder.num_instances == expected.max()
    np.testing.assert_array_equal(found, expected)


def num_instances(image: Image, params: DecodingParams = PLAIN) -> int:
    return int(separate_instances(image, params).max())


@pytest.mark.parametrize(("seeds", "right"), [("distance", 38), ("probability", 40)])
def test_touching_discs_are_split_along_their_neck(seeds: str, right: int) -> None:
    image = discs((40, 60), (20, 20, 10), (20, right, 10))
    if seeds == "probability":
        image = ndimage.gaussian_filter(image, 3)
    labels = separate_instances(image, replace(PLAIN, seeds=seeds, smoothing_px=1.0, min_depth=0.1))
    assert num_instances(image, replace(PLAIN, instances="components")) == 1
    assert labels.max() == 2
    assert labels[20, 20] == 1
    assert labels[20, right] == 2
    assert set(labels[20][labels[20] > 0]) == {1, 2}
    assert set(labels[:, :27].ravel()) == {0, 1}
    assert set(labels[:, 33:].ravel()) == {0, 2}


@pytest.mark.parametrize("radius", [0.5, 1, 2, 3.3, 9.7, 40])
def test_one_disc_is_one_instance(radius: float) -> None:
    image = discs((99, 99), (49.2, 48.7, radius))
    labels = separate_instances(image, PLAIN)
    np.testing.assert_array_equal(labels, image > 0.5)


@pytest.mark.parametrize("angle", [0, 17, 45, 80])
def test_an_elongated_cell_is_one_instance(angle: int) -> None:
    y, x = np.mgrid[-50:51, -50:51]
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    image = (((c * x + s * y) / 45) ** 2 + ((c * y - s * x) / 9) ** 2 < 1).astype(np.float32)
    assert num_instances(image) == 1


def test_a_ring_is_one_component_and_a_small_hole_is_filled() -> None:
    image = discs((50, 50), (25, 25, 20)) - discs((50, 50), (25, 25, 3))
    hole = int((discs((50, 50), (25, 25, 3)) > 0).sum())
    components = replace(PLAIN, instances="components")
    np.testing.assert_array_equal(separate_instances(image, components), image > 0.5)
    filled = separate_instances(image, replace(components, fill_holes_px=hole))
    np.testing.assert_array_equal(filled, discs((50, 50), (25, 25, 20)) > 0.5)
    np.testing.assert_array_equal(separate_instances(image, replace(components, fill_holes_px=hole - 1)), image > 0.5)
    assert num_instances(image, replace(PLAIN, fill_holes_px=hole)) == 1


def test_background_at_the_edge_of_the_image_is_no_hole() -> None:
    image = np.ones((6, 6), np.float32)
    image[0, 3] = image[5, 5] = image[2, 0] = image[3, 5] = 0
    np.testing.assert_array_equal(separate_instances(image, replace(PLAIN, fill_holes_px=9)) > 0, image > 0)


def test_a_line_of_background_that_separates_two_cells_is_no_row_of_holes() -> None:
    image = 1 - np.eye(9, dtype=np.float32)
    assert num_instances(image, replace(PLAIN, instances="components", fill_holes_px=9)) == 2


def test_extreme_images() -> None:
    assert not separate_instances(np.zeros((5, 7), np.float32)).any()
    assert (separate_instances(np.ones((5, 7), np.float32)) == 1).all()
    assert (separate_instances(np.ones((600, 3), np.float32)) == 1).all()  # beyond the reach of distances
    single = np.zeros((5, 5), np.float32)
    single[2, 3] = 1
    np.testing.assert_array_equal(separate_instances(single, PLAIN), single)
    assert separate_instances(np.zeros((0, 5), np.float32)).shape == (0, 5)
    assert num_instances(np.indices((8, 8)).sum(axis=0).astype(np.float32) % 2) == 32  # diagonal neighbours are apart


def test_depth_zero_takes_every_peak_and_depth_one_splits_nothing() -> None:
    image = random_cells((200, 200), 100, 0)
    components = separate_instances(image, replace(PLAIN, instances="components"))
    np.testing.assert_array_equal(separate_instances(image, replace(PLAIN, min_depth=1.0)), components)
    numbers = [num_instances(image, replace(PLAIN, min_depth=d)) for d in (0.0, 0.05, 0.3, 1.0)]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] > numbers[-1]


def test_instances_are_numbered_in_scan_order_over_all_slices() -> None:
    image = random_cells((120, 120), 36, 1)
    for params in (PLAIN, DecodingParams(grow_px=3), replace(PLAIN, instances="components")):
        labels = separate_instances(np.stack([image, np.zeros_like(image), image]), params)
        numbers, firsts = np.unique(labels, return_index=True)
        np.testing.assert_array_equal(numbers, np.arange(labels.max() + 1))
        assert (np.diff(firsts[1:]) > 0).all()
        np.testing.assert_array_equal(labels[2] > 0, labels[0] > 0)
        assert labels[2].max() == 2 * labels[0].max()


def test_small_instances_are_dropped() -> None:
    image = discs((30, 60), (15, 15, 8), (15, 40, 2))
    areas = np.bincount(separate_instances(image, PLAIN).ravel())[1:]
    assert areas.tolist() == [193, 9]
    assert num_instances(image, replace(PLAIN, min_area_px=9)) == 2
    assert num_instances(image, replace(PLAIN, min_area_px=10)) == 1


def test_growth_does_not_overlap_and_stops_half_way() -> None:
    image = np.zeros((9, 12), np.float32)
    image[4, 2], image[4, 8] = 1, 1
    labels = separate_instances(image, replace(PLAIN, grow_px=5))
    assert labels[4].tolist() == [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    assert set(labels[:, :5].ravel()) <= {0, 1}


def test_agrees_with_a_watershed_of_scikit_image_on_cells() -> None:
    """Its seeds are peaks of the distance that are at least a minimum distance apart, not those that are prominent."""
    for seed in range(3):
        image = random_cells((400, 400), 225, seed)
        mask = image > 0.5
        distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1.5)
        peaks = peak_local_max(distance, min_distance=6, exclude_border=False)  # type: ignore[no-untyped-call]
        seeds = np.zeros(mask.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        theirs = watershed(-distance, seeds, mask=mask)  # type: ignore[no-untyped-call]
        ours = separate_instances(image)
        assert abs(int(ours.max()) - int(theirs.max())) <= 0.03 * theirs.max()
        same = (ours[:, 1:] == ours[:, :-1]) == (theirs[:, 1:] == theirs[:, :-1])
        assert same.mean() > 0.985


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0.5, np.nan]], np.float32), "NaN"),
        (np.array([[0.5, 1.01]], np.float32), "0 to 1.01"),
        (np.array([[0.5, -0.1]], np.float64), "-0.1 to 0.5"),
        (np.array([[0.5, np.inf]], np.float32), "0 to inf"),
        (np.array([[0, 1]]), "int64"),
        (np.array([[True]]), "bool"),
        (np.zeros(3, np.float32), r"shape \(3,\)"),
        (np.zeros((1, 2, 3, 4), np.float32), r"shape \(1, 2, 3, 4\)"),
    ],
)
def test_what_is_no_probability_is_refused(values: NDArray[np.floating], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        separate_instances(values)


def test_rounding_beyond_the_range_is_clipped() -> None:
    image = np.array([[1 + 1e-6, 1, -1e-6, 0]], np.float32)
    labels = separate_instances(image, replace(PLAIN, seeds="probability", threshold=0.0, min_depth=1.0))
    np.testing.assert_array_equal(labels, [[1, 1, 1, 1]])


def test_probabilities_are_taken_as_float32() -> None:
    image = np.full((3, 3), 0.9)
    for dtype in (np.float16, np.float32, np.float64):
        assert separate_instances(image.astype(dtype), replace(PLAIN, threshold=0.9)).any() == (dtype != np.float16)


@pytest.mark.parametrize("given", [{"threshold": 1.5}, {"min_depth": -0.1}, {"instances": "all"}, {"grow_px": 100}])
def test_parameters_are_checked(given: dict[str, float | str]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(given)).removesuffix("_px").replace("_", "-")):
        DecodingParams(**given)  # type: ignore[arg-type]


def test_none_separates_nothing() -> None:
    with pytest.raises(InvalidInput, match="instances is 'none'"):
        separate_instances(np.zeros((3, 3), np.float32), DecodingParams(instances="none"))


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_of_two_equal_passes_that_between_the_earlier_peaks_is_taken_first(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The low peak in the middle joins the left one, whose peak is earlier, although the right one begins earlier."""
    monkeypatch.setattr(strips, "LEAST_ROWS", rows)
    monkeypatch.setattr(strips, "MOST_ROWS", rows)
    tenths = [[0, 0, 0, 0, 4], [9, 0, 0, 0, 5], [7, 5, 6, 5, 7], [0, 0, 0, 0, 9]]
    image: Image = (np.array(tenths) / 10).astype(np.float32)
    params = replace(PLAIN, seeds="probability", smoothing_px=0.0, threshold=0.3)
    expected = [[0, 0, 0, 0, 1], [2, 0, 0, 0, 1], [2, 2, 2, 1, 1], [0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(separate_instances(image, params), expected)
    np.testing.assert_array_equal(reference.separate(image, params), expected)
