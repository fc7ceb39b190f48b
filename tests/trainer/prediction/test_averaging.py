"""Averages over turned versions, seamless and resumable; planes in memory and in files."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import rotate

from tests.trainer.prediction.test_image import random_image
from unettrain.config import UNetConfig
from unettrain.errors import Conflict, Failure
from unettrain.model import UNet
from unettrain.prediction.averaging import ScoreTask, largest_difference, probabilities, summed_scores
from unettrain.prediction.planes import FilePlanes, MemoryPlanes, Planes
from unettrain.prediction.turns import NUM_TURNS, Flip, Rotation, turns_of
from unettrain.prediction.whole import whole_scores
from unettrain.prediction.windows import Window
from unettrain.prediction.work_folder import Position, WorkFolder

MODEL = UNet(UNetConfig(base_channels=3, depth=2), seed=1).eval()


def all_of(planes: Planes) -> NDArray[np.float32]:
    return np.stack([planes.read(z, slice(None), slice(None)) for z in range(planes.shape[1])], axis=1)


def smooth_image(*shape: int) -> NDArray[np.float32]:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    return np.broadcast_to(0.5 + 0.4 * np.sin(y / 5) * np.cos(x / 7), shape).astype(np.float32)


def turned_by_numpy(image: NDArray[np.float32], turn: Flip) -> NDArray[np.float32]:
    image = image.swapaxes(-1, -2) if turn.swaps else image
    return flipped(image, turn)


def flipped(image: NDArray[np.float32], turn: Flip) -> NDArray[np.float32]:
    found: NDArray[np.float32] = image[..., :: -1 if turn.flips_y else 1, :: -1 if turn.flips_x else 1]
    return found


@pytest.mark.parametrize("num", [4, 8])
def test_flips_and_turns_are_those_of_the_whole_image_averaged(num: int) -> None:
    image = random_image(1, 1, 31, 22)
    turns = [turn for turn in turns_of(num) if isinstance(turn, Flip)]
    assert len({turned_by_numpy(image, turn).tobytes() for turn in turns}) == num
    expected = np.zeros((2, 1, 31, 22), np.float32)
    for turn in turns:
        scores = whole_scores(MODEL, np.ascontiguousarray(turned_by_numpy(image, turn)[:, 0]), (0.0, 1.0))[:, None]
        undone = flipped(scores, turn)
        expected += undone.swapaxes(-1, -2) if turn.swaps else undone
    found = summed_scores(ScoreTask(MODEL, image, (0.0, 1.0), num, tile_px=60))
    np.testing.assert_allclose(all_of(found), expected[1:] - expected[:1], rtol=0, atol=2e-4)


@pytest.mark.parametrize("num", NUM_TURNS)
def test_there_are_no_seams_under_any_turns(num: int) -> None:
    image = random_image(1, 2, 31, 22)
    tiled = summed_scores(ScoreTask(MODEL, image, (0.0, 1.0), num, tile_px=60))
    whole = summed_scores(ScoreTask(MODEL, image, (0.0, 1.0), num, is_whole=True))
    assert largest_difference(tiled, whole, num) < 1e-5


@pytest.mark.parametrize("degrees", [90, 180, 360 / 7, 3 * 360 / 7, 5 * 360 / 7])
def test_an_image_is_rotated_as_scipy_does(degrees: float) -> None:
    image = smooth_image(1, 1, 41, 61)
    turned = Rotation(degrees).image(image)
    height, width = turned.shape[2:]
    rotated = turned[:, 0, 0:height, 0:width]
    expected = rotate(image[0, 0], degrees, order=1, mode="mirror", reshape=True)
    top, left = (expected.shape[0] - height) // 2, (expected.shape[1] - width) // 2
    assert abs(top) <= 1
    assert abs(left) <= 1
    if (expected.shape[0] - height) % 2 == (expected.shape[1] - width) % 2 == 0 and top >= 0 and left >= 0:
        cut = expected[top : top + height, left : left + width]
        np.testing.assert_allclose(rotated[0], cut, atol=1e-5 if degrees % 90 == 0 else 0.02)
    back = Rotation(degrees).back(planes_of(rotated[None]), Window(0, 0, 41, 0, 61), (41, 61))
    inner = np.s_[2:-2, 2:-2]  # at the edges the image has a fold, where it is mirrored
    np.testing.assert_allclose(back[0][inner], image[0, 0][inner], atol=1e-5 if degrees % 90 == 0 else 0.01)


def planes_of(values: NDArray[np.float32]) -> MemoryPlanes:
    planes = MemoryPlanes(values.shape)
    for z in range(values.shape[1]):
        planes.write(Window(z, 0, values.shape[2], 0, values.shape[3]), values[:, z])
    return planes


def test_a_rotated_image_is_read_alike_in_any_parts() -> None:
    turned = Rotation(100.0).image(random_image(2, 1, 50, 300))
    whole = turned[:, 0, 0 : turned.shape[2], 0 : turned.shape[3]]
    np.testing.assert_array_equal(turned[:, 0, 17:40, 3:77], whole[:, 17:40, 3:77])


def test_three_classes_keep_all_scores() -> None:
    model = UNet(UNetConfig(base_channels=3, depth=1, num_classes=3), seed=2).eval()
    image = random_image(1, 1, 20, 20)
    found = summed_scores(ScoreTask(model, image, (0.0, 1.0), 4))
    assert found.shape == (3, 1, 20, 20)
    np.testing.assert_allclose(probabilities(all_of(found)[:, 0], 4).sum(0), 1, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 7, 9), (3, 2, 20, 15)])
def test_planes_in_files_are_those_in_memory(tmp_path: Path, shape: tuple[int, int, int, int]) -> None:
    rng, file, memory = np.random.default_rng(0), FilePlanes(tmp_path / "p", shape), MemoryPlanes(shape)
    for window in (Window(0, 0, 5, 0, shape[3]), Window(shape[1] - 1, 2, 7, 3, 8)):
        block = rng.random((shape[0], window.y1 - window.y0, window.x1 - window.x0), np.float32)
        file.write(window, block)
        memory.write(window, block)
    np.testing.assert_array_equal(all_of(file), all_of(memory))
    file.close()
    again = FilePlanes(tmp_path / "p", shape)
    np.testing.assert_array_equal(again.read(0, slice(1, 4), slice(2, 6)), memory.read(0, slice(1, 4), slice(2, 6)))


class Killed(BaseException):
    """What ends a prediction in the middle."""


@pytest.mark.parametrize("num", [1, 4, 7])
def test_a_killed_prediction_continues_to_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num: int
) -> None:
    monkeypatch.setattr("unettrain.prediction.work_folder.SECONDS_BETWEEN_RECORDS", 0)
    image = random_image(1, 1, 90, 21)
    task = ScoreTask(MODEL, image, (0.0, 1.0), num, tile_px=60)
    expected, total = all_of(summed_scores(task)), sum(plan.num_units for plan in task.plans())
    counts = list[int]()
    for limit in (1, 3, total // num + 1, total // 2, total - 1, total):
        done = 0

        def count(num: int, limit: int = limit) -> None:
            nonlocal done
            done += num
            counts.append(num)
            if done >= limit and num == 1:
                raise Killed

        try:
            with WorkFolder(tmp_path / "p.tif", "this") as work:
                found = summed_scores(task, work, count)
                np.testing.assert_array_equal(all_of(found), expected)
        except Killed:
            assert (tmp_path / ".unettrain-predict-p.tif/record.json").exists()
    with WorkFolder(tmp_path / "p.tif", "this") as work:
        assert work.position > Position(0, total // 2 if num == 1 else 0)
        np.testing.assert_array_equal(all_of(summed_scores(task, work)), expected)
    assert not list(tmp_path.iterdir())
    assert sum(count for count in counts if count == 1) <= total + 6 * 4  # few units were computed twice


def test_scores_of_another_prediction_are_not_used(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / "p.tif", "this")
    work.record(Position(0, 3), work.planes("sum-0", (1, 1, 5, 5)))
    work.__exit__(Killed, None, None)
    work = WorkFolder(tmp_path / "p.tif", "this")
    assert work.position == Position(0, 3)
    work.__exit__(Killed, None, None)
    with WorkFolder(tmp_path / "p.tif", "other") as work:
        assert work.position == Position()
        assert sorted(path.name for path in work.path.iterdir()) == ["lock"]
        with pytest.raises(Conflict, match=r"another process predicts .*p\.tif"):
            WorkFolder(tmp_path / "p.tif", "other")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"fingerprint": "this", "turn": "x", "unit": 1}'])
def test_a_damaged_record_begins_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".unettrain-predict-p.tif").mkdir()
    (tmp_path / ".unettrain-predict-p.tif/record.json").write_bytes(content)
    with WorkFolder(tmp_path / "p.tif", "this") as work:
        assert work.position == Position()


def test_an_error_removes_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), WorkFolder(tmp_path / "p.tif", "this"):
        raise ValueError("broken")
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_refused(tmp_path: Path) -> None:
    message = r"scores take up to 9313225.7 GiB .*\n  allowed: .* GiB, which is free"
    with WorkFolder(tmp_path / "p.tif", "this") as work, pytest.raises(Failure, match=message):
        work.check_space(10**16)
    assert not list(tmp_path.iterdir())
