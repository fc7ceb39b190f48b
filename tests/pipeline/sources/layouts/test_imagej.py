import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
from numpy.typing import NDArray
from roifile import ROI_TYPE, ImagejRoi

from tests.pipeline.sources.layouts.writing import arrays, data_set, image, left_out, put
from unetprep.errors import InvalidInput
from unetprep.sources.layouts.summary import summarize


def polygon(*points: tuple[float, float], **more: Any) -> ImagejRoi:
    return ImagejRoi.frompoints(np.array(points), **more)


def boxed(kind: ROI_TYPE, left: int, top: int, right: int, bottom: int) -> ImagejRoi:
    region = ImagejRoi()
    region.roitype, region.version = kind, 227
    region.left, region.top, region.right, region.bottom = left, top, right, bottom
    return region


def put_regions(path: Path, *regions: ImagejRoi) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number, region in enumerate(regions):
            archive.writestr(f"{9 - number}.roi", region.tobytes())


def labels_of(folder: Path, *regions: ImagejRoi, sides: tuple[int, ...] = (12, 14)) -> NDArray[Any]:
    put(folder / "a.tif", image(sides))
    put_regions(folder / "RoiSet.zip", *regions)
    return arrays(data_set(folder, "imagej"))["a"][1]


def test_regions_are_objects_in_the_order_of_the_archive(tmp_path: Path) -> None:
    line = polygon((1, 1), (5, 5))
    line.roitype = ROI_TYPE.LINE
    found = labels_of(
        tmp_path,
        polygon((1, 1), (5, 1), (5, 4), (1, 4)),
        boxed(ROI_TYPE.RECT, 7, 2, 10, 5),
        boxed(ROI_TYPE.OVAL, 2, 6, 8, 11),
        line,
    )
    expected = np.zeros((12, 14), np.int32)
    expected[1:4, 1:5], expected[2:5, 7:10] = 1, 2
    y, x = np.indices(expected.shape) + 0.5
    expected[((x - 5) / 3) ** 2 + ((y - 8.5) / 2.5) ** 2 <= 1] = 3
    np.testing.assert_array_equal(found[0], expected)
    of = data_set(tmp_path, "imagej")
    assert {entry.why: entry.count for entry in summarize(of, of.open()).left_out} == {"shapes of type line": 1}


def test_composite_regions_have_pieces_and_holes(tmp_path: Path) -> None:
    path = []
    for ring in ([(1, 1), (6, 1), (6, 6), (1, 6)], [(2, 2), (4, 2), (4, 4), (2, 4)], [(8, 8), (9, 8), (9, 9), (8, 9)]):
        path += [0, *ring[0], *(value for point in ring[1:] for value in (1, *point)), 4]
    region = boxed(ROI_TYPE.RECT, 1, 1, 9, 9)
    region.multi_coordinates = np.array(path, np.float32)
    region.shape_roi_size = len(path)
    expected = np.zeros((12, 14), np.int32)
    expected[1:6, 1:6], expected[2:4, 2:4], expected[8, 8] = 1, 0, 1
    np.testing.assert_array_equal(labels_of(tmp_path, region)[0], expected)


def test_positions_are_slices(tmp_path: Path) -> None:
    found = labels_of(tmp_path, *(polygon((1, 1), (5, 1), (5, 4), position=z) for z in (0, 2)), sides=(4, 12, 14))
    assert found.max(axis=(1, 2)).tolist() == [1, 0, 2, 0]


def test_each_image_has_the_regions_of_its_name(tmp_path: Path) -> None:
    for name, archive in (("a", "a.zip"), ("b", "b_RoiSet.zip"), ("c", "RoiSet_c.zip")):
        put(tmp_path / f"{name}.tif")
        put_regions(tmp_path / archive, *[polygon((1, 1), (5, 1), (5, 4))] * (ord(name) - ord("a") + 1))
    put(tmp_path / "d.tif")
    (tmp_path / "d.roi").write_bytes(polygon((1, 1), (5, 1), (5, 4)).tobytes())
    put(tmp_path / "e.tif")
    found = data_set(tmp_path, "imagej")
    assert {name: int(labels.max()) for name, (_, labels) in arrays(found).items()} == {"a": 1, "b": 2, "c": 3, "d": 1}
    assert left_out(found) == {"images without regions": 1}


def test_damaged_archives_and_regions_are_named(tmp_path: Path) -> None:
    put(tmp_path / "a.tif")
    whole = polygon((1, 1), (5, 1), (5, 4)).tobytes()
    for data, message in ((whole[:70], "region 0.roi"), (b"Iout", "region 0.roi"), (b"\x00" * 80, "region 0.roi")):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("0.roi", data)
        with pytest.raises(InvalidInput, match=rf"a\.zip: {message}"):
            data_set(tmp_path, "imagej").open()
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.roi", whole * 9)
    damaged = bytearray((tmp_path / "a.zip").read_bytes())
    damaged[40:50] = b"\xff" * 10
    (tmp_path / "a.zip").write_bytes(damaged)
    with pytest.raises(InvalidInput, match=r"a\.zip"):
        data_set(tmp_path, "imagej").open()


def test_flipped_bits_give_labels_or_one_error(tmp_path: Path) -> None:
    put(tmp_path / "a.tif")
    regions = [polygon((1, 1), (5, 1), (5, 4)), boxed(ROI_TYPE.OVAL, 2, 6, 8, 11), polygon((1.5, 1), (5.25, 1), (5, 4))]
    rng = np.random.default_rng(0)
    for region in regions:
        for _ in range(60):
            data = bytearray(region.tobytes())
            for at in rng.integers(4, len(data), 3):
                data[at] ^= 1 << rng.integers(8)
            (tmp_path / "a.roi").write_bytes(data)
            with suppress(InvalidInput):
                arrays(data_set(tmp_path, "imagej"))


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetprep.sources.layouts.imagej.MAX_MEMBER_BYTES", 1000)
    put(tmp_path / "a.tif")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.roi", b"\x00" * 10_000)
    with pytest.raises(InvalidInput, match=r"region 0\.roi has over 1000 bytes"):
        data_set(tmp_path, "imagej").open()


def test_the_archive_may_be_that_of_roifile(tmp_path: Path) -> None:
    put(tmp_path / "a.tif")
    roifile.roiwrite(tmp_path / "a.zip", [polygon((1, 1), (5, 1), (5, 4), (1, 4))])
    assert arrays(data_set(tmp_path, "imagej"))["a"][1].sum() == 12


def test_without_its_package_the_way_to_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.tif")
    put_regions(tmp_path / "a.zip", polygon((1, 1), (5, 1), (5, 4)))
    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(InvalidInput, match=r"roifile that reads them(.|\n)*pip install 'unetprep\[formats\]'"):
        data_set(tmp_path, "imagej").open()
