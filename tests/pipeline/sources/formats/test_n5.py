from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.sources.formats.samples import VOLUME, WHOLE, write_n5
from unetprep.errors import InvalidInput
from unetprep.sources import open_source
from unetprep.sources.source import Choice


@pytest.mark.parametrize("compression", ["raw", "gzip", "zstd", "bzip2", "blosc", "xz"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_blocks_of_every_compression(tmp_path: Path, compression: str, dtype: str) -> None:
    data = VOLUME.astype(dtype) * 3
    write_n5(tmp_path / "x.n5/raw", data, {"resolution": [0.1, 0.2, 0.5], "units": ["um"] * 3}, compression)
    source = open_source(str(tmp_path / "x.n5"))
    assert (source.dtype, source.pixel_size, source.unit) == (dtype, (0.5, 0.2, 0.1), "micrometer")
    np.testing.assert_array_equal(source.read(WHOLE)[0], data)
    np.testing.assert_array_equal(
        source.read((slice(0, 1), slice(1, 4), slice(10, 33), slice(3, 29)))[0], data[1:4, 10:33, 3:29]
    )


def test_a_level_of_a_pyramid_and_its_size(tmp_path: Path) -> None:
    write_n5(tmp_path / "x.n5/c/s0", VOLUME, {"pixelResolution": {"unit": "nm", "dimensions": [4, 4, 40]}})
    about = {"pixelResolution": {"unit": "nm", "dimensions": [4, 4, 40]}, "downsamplingFactors": [2, 2, 1]}
    write_n5(tmp_path / "x.n5/c/s1", VOLUME[:, ::2, ::2], about)
    source = open_source(str(tmp_path / "x.n5"), Choice(level=1))
    assert (source.pixel_size, source.unit) == ((40, 8, 8), "nanometer")
    np.testing.assert_array_equal(source.read(WHOLE)[0], VOLUME[:, ::2, ::2])
    with pytest.raises(InvalidInput, match="no level 2"):
        open_source(str(tmp_path / "x.n5"), Choice(level=2))


def test_one_of_several_datasets_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_n5(tmp_path / "x.n5" / name, VOLUME, {})
    with pytest.raises(InvalidInput, match=r"(?s)holds 2 datasets.*x\.n5:/a, .*x\.n5:/b"):
        open_source(str(tmp_path / "x.n5"))
    for path in ("x.n5:/b", "x.n5/b"):
        np.testing.assert_array_equal(open_source(str(tmp_path / path)).read(WHOLE)[0], VOLUME)


def test_missing_blocks_are_zeros_and_damaged_ones_errors(tmp_path: Path) -> None:
    write_n5(tmp_path / "x.n5/raw", VOLUME, {}, "raw")
    (tmp_path / "x.n5/raw/0/0/0").unlink()
    pixels = open_source(str(tmp_path / "x.n5")).read(WHOLE)[0]
    assert not pixels[:, :16, :16].any()
    np.testing.assert_array_equal(pixels[:, 16:], VOLUME[:, 16:])
    block = tmp_path / "x.n5/raw/1/0/0"
    block.write_bytes(block.read_bytes()[:-9])
    with pytest.raises(InvalidInput, match=r"x\.n5 cannot be read: block .* holds"):
        open_source(str(tmp_path / "x.n5")).read(WHOLE)


def test_a_container_has_attributes_of_its_own(tmp_path: Path) -> None:
    write_n5(tmp_path / "x.n5/raw", VOLUME, {})
    (tmp_path / "x.n5" / "attributes.json").write_text('{"n5": "4.0.0"}')
    np.testing.assert_array_equal(open_source(str(tmp_path / "x.n5")).read(WHOLE)[0], VOLUME)
    write_n5(tmp_path / "x.n5/labels", VOLUME, {})
    with pytest.raises(InvalidInput, match=r"holds 2 datasets\n.*x\.n5:/labels, .*x\.n5:/raw"):
        open_source(str(tmp_path / "x.n5"))
