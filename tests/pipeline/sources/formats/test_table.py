import sys
from pathlib import Path

import numpy as np
import pytest

import unetprep
from tests.pipeline.sources.formats.samples import SAMPLES, WHOLE
from unetprep.errors import InvalidInput
from unetprep.sources import open_source
from unetprep.sources.formats.table import FORMATS, ending_of, format_of, split_name


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_gives_the_values_in_its_file_whole_and_in_part(tmp_path: Path, name: str) -> None:
    write, values = SAMPLES[name]
    write(tmp_path / name)
    source = open_source(str(tmp_path / name))
    if values.ndim == 3 and values.shape[-1] == 3:
        values = values.transpose(2, 0, 1)[:, None]
    expected = values[(None,) * (4 - values.ndim)]
    assert (source.shape, source.dtype) == (expected.shape, expected.dtype.name)
    np.testing.assert_array_equal(source.read(WHOLE), expected)
    box = (slice(0, 1), slice(0, 1), slice(3, 20), slice(7, 25))
    np.testing.assert_array_equal(source.read(box), expected[box])


def test_every_format_has_a_module_that_opens_files() -> None:
    assert [known.reader("x").open_file.__name__ for known in FORMATS] == ["open_file"] * len(FORMATS)
    assert all(known.version for known in unetprep.formats())


def test_a_known_format_without_its_package_names_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.h5").touch()
    monkeypatch.delitem(sys.modules, "unetprep.sources.formats.hdf5", raising=False)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InvalidInput, match=r"(?s)HDF5.*h5py.*pip install 'unetprep\[formats\]'"):
        open_source(str(tmp_path / "x.h5"))


def test_an_unknown_ending_names_the_command_that_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "x.xyz").touch()
    with pytest.raises(InvalidInput, match=r"(?s)ends in '\.xyz'.*unetprep formats"):
        open_source(str(tmp_path / "x.xyz"))


@pytest.mark.parametrize(
    ("path", "ending"),
    [
        ("a/x.ome.TIF", ".tif"),
        ("x.zarr.zip", ".zarr.zip"),
        ("x.nii.gz", ".nii.gz"),
        ("a.b/x", ""),
        (".h", ""),
        ("x.q", ".q"),
    ],
)
def test_the_ending_is_the_longest_known_one(path: str, ending: str) -> None:
    assert ending_of(path) == ending


def test_names_inside_of_files() -> None:
    assert split_name("a/x.h5:/raw/b") == ("a/x.h5", "raw/b")
    assert split_name("http://a/x.h5:/raw") == ("http://a/x.h5", "raw")
    assert split_name("http://a/x.tif") == ("http://a/x.tif", "")
    assert format_of("x.tar") is None
