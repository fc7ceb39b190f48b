import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.pipeline.sources.layouts.writing import arrays, data_set, image, left_out, put, put_json
from unetprep.errors import InvalidInput
from unetprep.sources.layouts.summary import summarize


def as_text(pixels: NDArray[Any]) -> str:
    file = BytesIO()
    imageio.imwrite(file, pixels, extension=".png")
    return base64.b64encode(file.getvalue()).decode()


def shape(points: Any, kind: str = "polygon", label: Any = "cell", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def document(*shapes: dict[str, Any], path: str = "a.png", **more: Any) -> dict[str, Any]:
    sides = {"imageHeight": 12, "imageWidth": 14}
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": path,
        "imageData": None,
        **sides,
        **more,
    }


def labels_of(folder: Path, *shapes: dict[str, Any]) -> NDArray[Any]:
    put(folder / "a.png")
    put_json(folder / "a.json", document(*shapes))
    return np.asarray(arrays(data_set(folder, "labelme"))["a"][1][0])


def test_polygons_rectangles_circles_and_masks(tmp_path: Path) -> None:
    found = labels_of(
        tmp_path,
        shape([[1, 1], [4, 1], [4, 3], [1, 3]]),
        shape([[9, 8], [6, 5]], "rectangle"),
        shape([[11, 3], [13, 3]], "circle"),
        shape([[2, 8], [3, 9]], "mask", mask=as_text(np.array([[0, 255], [255, 255]], np.uint8))),
    )
    expected = np.zeros((12, 14), np.int32)
    expected[1:3, 1:4], expected[5:8, 6:9] = 1, 2
    y, x = np.indices(expected.shape) + 0.5
    expected[(x - 11) ** 2 + (y - 3) ** 2 <= 4] = 3
    expected[[8, 9, 9], [3, 2, 3]] = 4
    np.testing.assert_array_equal(found, expected)


def test_shapes_of_one_label_and_group_are_one_object(tmp_path: Path) -> None:
    found = labels_of(
        tmp_path,
        shape([[0, 0], [2, 2]], "rectangle", group_id=1),
        shape([[4, 0], [6, 2]], "rectangle", group_id=2),
        shape([[8, 0], [9, 2]], "rectangle", group_id=1),
        shape([[10, 0], [12, 2]], "rectangle", label="other", group_id=1),
    )
    assert found[0].tolist() == [1, 1, 0, 0, 2, 2, 0, 0, 1, 0, 3, 3, 0, 0]
    of = data_set(tmp_path, "labelme")
    assert summarize(of, of.open()).classes == {"cell": 1, "other": 2}


def test_points_and_lines_are_left_out(tmp_path: Path) -> None:
    assert not labels_of(tmp_path, shape([[1, 1]], "point"), shape([[1, 1], [2, 2]], "line")).any()
    of = data_set(tmp_path, "labelme")
    found = {entry.why: entry.count for entry in summarize(of, of.open()).left_out}
    assert found == {"shapes of type point": 1, "shapes of type line": 1}


@pytest.mark.parametrize("path", ["../images/a.png", "..\\images\\a.png", "/home/user/a.png", "C:\\data\\a.png"])
def test_the_image_is_found_in_the_folder_by_its_name_alone(tmp_path: Path, path: str) -> None:
    put(tmp_path / "images" / "a.png", image(seed=3))
    put(tmp_path.parent / "a.png", image(seed=4))
    put_json(tmp_path / "annotations" / "a.json", document(path=path))
    pixels = arrays(data_set(tmp_path, "labelme"))["a"][0]
    assert pixels is not None
    np.testing.assert_array_equal(pixels[0, 0], image(seed=3))


@pytest.mark.parametrize("sides", [(12, 14), (12, 14, 3)])
def test_embedded_images(tmp_path: Path, sides: tuple[int, ...]) -> None:
    put_json(tmp_path / "a.json", document(shape([[0, 0], [2, 2]], "rectangle"), imageData=as_text(image(sides))))
    pixels, labels = arrays(data_set(tmp_path, "labelme"))["a"]
    assert pixels is not None
    np.testing.assert_array_equal(np.moveaxis(pixels[:, 0], 0, -1).reshape(sides), image(sides))
    assert labels[0, :2, :2].all()


def test_files_without_their_image_are_left_out(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put_json(tmp_path / "a.json", document())
    put_json(tmp_path / "b.json", document(path="b.png"))
    put_json(tmp_path / "settings.json", {"x": 1})
    assert left_out(data_set(tmp_path, "labelme")) == {
        "JSON files without their image": 1,
        "JSON files of another kind": 1,
    }


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (shape([[1, 1], [2, 2]]), "shape 0: it has 2 points"),
        (shape([[1, 1]], "rectangle"), "shape 0: it has 1 points"),
        (shape([[1, 1], [float("nan"), 2]], "circle"), "shape 0: a point is"),
        (shape("x"), "shape 0: points is 'x'"),
        (shape([[1, 1], [2, 2]], "star"), "shape 0 has the type 'star'"),
        (shape([[1, 1], [2, 2]], "mask", mask="no base64!"), "shape 0 cannot be read"),
        (shape([[1, 1], [2, 2]], "mask", mask="AAAA"), "shape 0 cannot be read"),
        (shape([], label=None), "shape 0: label is None"),
        ("no shape", "shape 0 is 'no shape'"),
    ],
)
def test_damaged_shapes_name_file_and_object(tmp_path: Path, of: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=rf"a\.json: {message}"):
        labels_of(tmp_path, of)


def test_a_damaged_embedded_image_is_named(tmp_path: Path) -> None:
    put_json(tmp_path / "a.json", document(imageData=as_text(image())[:60]))
    with pytest.raises(InvalidInput, match=r"imageData of .*a\.json cannot be read"):
        data_set(tmp_path, "labelme")
