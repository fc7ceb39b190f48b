from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainer.decoding.images import blobs, discs, random_cells
from unettrain.decoding import spool
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.classes import ClassCounts, foreground_of, likeliest_classes
from unettrain.decoding.decoder import Decoder
from unettrain.decoding.params import DecodingParams
from unettrain.errors import InvalidInput

PARAMS = DecodingParams(min_area_px=0, fill_holes_px=0)


def test_large_images_pass_through_files_which_are_gone_even_while_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.stack([random_cells((130, 110), 30, 0), blobs((130, 110), 1)])
    params = DecodingParams(seeds="probability", grow_px=2)
    expected = separate_instances(image, params)
    monkeypatch.setattr(spool, "IN_MEMORY_BYTES", 0)
    with Decoder(image.shape, params, num_threads=2, folder=tmp_path) as decoder:
        for z, y0 in np.ndindex(2, 13):
            decoder.add(z, 10 * y0, image[z, 10 * y0 : 10 * y0 + 10])
        assert not list(tmp_path.iterdir())
        assert not list(tmp_path.iterdir())
        for z in range(2):
            for rows, columns in np.s_[:, :], np.s_[0:130, 0:110], np.s_[3:50, 7:99], np.s_[120:200, 109:110]:
                np.testing.assert_array_equal(decoder.read(z, rows, columns), expected[z, rows, columns])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("z", "y0", "rows", "columns"), [(0, 0, 3, 6), (0, 3, 4, 6), (1, 2, 3, 6), (0, 2, 9, 6), (0, 2, 3, 5), (0, 2, 0, 6)]
)
def test_bands_out_of_order_or_of_another_shape_are_refused(z: int, y0: int, rows: int, columns: int) -> None:
    with Decoder((2, 10, 6), PARAMS) as decoder:
        decoder.add(0, 0, np.zeros((2, 6), np.float32))
        with pytest.raises(InvalidInput, match="up to 8 rows of 6 pixels at slice 0, row 2"):
            decoder.add(z, y0, np.zeros((rows, columns), np.float32))


def test_more_rows_than_the_image_has_are_refused() -> None:
    with Decoder((1, 2, 6), PARAMS) as decoder:
        decoder.add(0, 0, np.zeros((2, 6), np.float32))
        with pytest.raises(InvalidInput, match="at slice 1, row 0"):
            decoder.add(1, 0, np.zeros((1, 6), np.float32))


def test_labels_of_an_unfinished_image_are_refused() -> None:
    with Decoder((1, 10, 6), PARAMS) as decoder:
        decoder.add(0, 0, np.zeros((9, 6), np.float32))
        with pytest.raises(InvalidInput, match="9 rows have been added\n  allowed: all 10 rows"):
            decoder.read(0, slice(0, 9), slice(None))


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 3), (1, 2, 3, 4)])
def test_an_image_of_other_axes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="the image has shape"):
        Decoder(shape, PARAMS)


def test_not_a_number_is_refused_before_it_changes_anything() -> None:
    with Decoder((1, 1, 2), PARAMS) as decoder:
        with pytest.raises(InvalidInput, match="probabilities are NaN"):
            decoder.add(0, 0, np.array([[np.nan, 1]], np.float32))
        decoder.add(0, 0, np.array([[0, 1]], np.float32))
        assert decoder.num_instances == 1


def test_an_instance_has_the_class_of_most_of_its_pixels() -> None:
    first, second = discs((40, 60), (20, 15, 9)), discs((40, 60), (20, 45, 9))
    probabilities = np.stack([1 - first - second, 0.4 * first + 0.9 * second, 0.6 * first + 0.1 * second])
    probabilities[1:, 18, :] = probabilities[:0:-1, 18, :].copy()  # one row is of the other class
    labels, counts = separate_instances(foreground_of(probabilities)), ClassCounts(2, 3)
    for y0 in range(0, 40, 7):
        rows = np.s_[y0 : y0 + 7]
        counts.add(labels[rows], likeliest_classes(probabilities[:, rows]))
    assert counts.classes().tolist() == [2, 1]


@pytest.mark.parametrize("classes", [np.zeros((1, 6), np.uint8), np.full((2, 6), 3, np.uint8)])
def test_classes_that_do_not_fit_are_refused(classes: NDArray[np.uint8]) -> None:
    with pytest.raises(InvalidInput, match=r"allowed: of the shape of the labels, \(2, 6\), and up to 2"):
        ClassCounts(1, 3).add(np.ones((2, 6), np.int32), classes)


def test_foreground_of_class_probabilities() -> None:
    two = np.array([[0.3, 0.9], [0.7, 0.1]], np.float32)
    np.testing.assert_array_equal(foreground_of(two), two[1])
    np.testing.assert_array_equal(foreground_of(two[1:]), two[1])
    three = np.array([[0.25, 1.0000001], [0.5, 0], [0.25, 0]], np.float32)
    np.testing.assert_array_equal(foreground_of(three), np.array([0.75, 0], np.float32))
    np.testing.assert_array_equal(likeliest_classes(three), np.array([1, 1], np.uint8))
