"""OME-Zarr metadata of images and labels."""

from unetprep.format.ome import PixelSize, display_window, image_attributes, label_attributes, labels_attributes

AXES = ("c", "z", "y", "x")


def test_measured_axes_have_a_scale_and_a_unit_and_others_count_pixels() -> None:
    pixel = PixelSize.of_record({"spacing": [None, 0.5, 0.25], "unit": "micrometer"})
    (image,) = image_attributes("image", AXES, pixel)["multiscales"]
    assert image["axes"] == [
        {"name": "c", "type": "channel"},
        {"name": "z", "type": "space"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    (dataset,) = image["datasets"]
    assert dataset == {
        "path": "image",
        "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 0.5, 0.25]}],
    }


def test_without_a_record_no_size_is_claimed() -> None:
    assert PixelSize.of_record({}) == PixelSize() == PixelSize({}, "")
    (image,) = image_attributes("weights", AXES[1:], PixelSize())["multiscales"]
    assert image["axes"] == [{"name": axis, "type": "space"} for axis in "zyx"]
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == [1.0, 1.0, 1.0]


def test_labels_name_their_image() -> None:
    found = label_attributes("target", AXES[1:], PixelSize({"x": 2.0}))
    assert found["image-label"] == {"source": {"image": "../../"}}
    assert found["multiscales"] == image_attributes("target", AXES[1:], PixelSize({"x": 2.0}))["multiscales"]
    assert labels_attributes(["instances", "target"]) == {"version": "0.5", "labels": ["instances", "target"]}


def test_viewers_are_told_the_intensity_range_of_all_images_of_a_group() -> None:
    assert display_window({}, 3) == {}
    (channel,) = display_window({"intensity": [5.0, 90.0]}, 1)["omero"]["channels"]
    assert channel == {
        "color": "FFFFFF",
        "window": {"min": 5.0, "max": 90.0, "start": 5.0, "end": 90.0},
        "active": True,
    }
    of_stack = {"images": {"intensity": [[5.0, 90.0], [7.0, 200.0], [3.0, 8.0]]}}
    channels = display_window(of_stack, 8)["omero"]["channels"]
    assert {(c["window"]["start"], c["window"]["end"]) for c in channels} == {(3.0, 200.0)}
    assert len({c["color"] for c in channels}) == 6
    assert [c["color"] for c in channels[6:]] == [c["color"] for c in channels[:2]]
