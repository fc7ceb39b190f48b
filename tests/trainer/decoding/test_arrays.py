from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from tests.trainer.decoding import reference
from unettrain.decoding import strips
from unettrain.decoding.arrays import separate_instances
from unettrain.decoding.decoder import Decoder
from unettrain.decoding.params import DecodingParams

Image = NDArray[np.float32]

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


def discs(shape: tuple[int, int], *cells: tuple[float, float, float]) -> Image:
    """Probability 1 in the discs (y, x, radius), 0 elsewhere."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.any([(y - a) ** 2 + (x - b) ** 2 < r**2 for a, b, r in cells], axis=0), np.float32)


def blobs(shape: tuple[int, int], seed: int) -> Image:
    """Smooth random probabilities from 0 to 1."""
    values = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 3)
    return np.asarray((values - values.min()) / (values.max() - values.min()), np.float32)


@pytest.fixture
def strip_rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the number of rows of a strip."""

    def set_rows(rows: int) -> None:
        monkeypatch.setattr(strips, "LEAST_ROWS", rows)
        monkeypatch.setattr(strips, "MOST_ROWS", rows)

    return set_rows


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
            found = np.zeros(volume.shape, np.int32)
            for z, y0, labels in decoder.bands():
                found[z, y0 : y0 + len(labels)] = labels
            assert decoder.num_instances == expected.max()
    np.testing.assert_array_equal(found, expected)
