"""Peer: StarDist's 2D model with its own defaults, augmentation of its examples, and thresholds chosen on validation.

It predicts instances; there is no probability to decode. Trains until the CPU time is over, at its constant rate.
"""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from csbdeep.utils import normalize
from numpy.typing import NDArray
from stardist.models import Config2D, StarDist2D

from benchmarks.accuracy.budget import Budget
from benchmarks.accuracy.data import Splits
from benchmarks.accuracy.methods.crops import padded
from benchmarks.accuracy.methods.trained import Trained


def train(
    splits: Splits,
    seed: int,
    seconds: float,
    build: Path,
    *,
    side: int = 128,
    batch: int = 4,
    width: int = 32,
    device: str = "cpu",
) -> Trained:
    """Train on instances until the CPU time is over."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(seed)
    tf.keras.utils.disable_interactive_logging()
    rng = np.random.default_rng(seed)
    images, labels = zip(*((scaled(padded(s.image, side)), padded(s.labels, side)) for s in splits.train), strict=True)
    validation = [scaled(padded(s.image, side)) for s in splits.val], [padded(s.labels, side) for s in splits.val]
    config = Config2D(
        n_rays=32,
        grid=(2, 2),
        n_channel_in=1,
        unet_n_filter_base=width,
        train_patch_size=(side, side),
        train_batch_size=batch,
        train_epochs=10_000,
        train_steps_per_epoch=10,
        train_tensorboard=False,
        train_checkpoint=None,
        train_checkpoint_last=None,
        train_checkpoint_epoch=None,
        train_n_val_patches=4,
    )
    model = StarDist2D(config, name="stardist", basedir=None)
    model.prepare_for_training()
    ender = Ender(seconds, device)
    model.callbacks.append(ender)
    model.train(list(images), list(labels), validation, augmenter=lambda x, y: augmented(x, y, rng), seed=seed)
    used = ender.budget.used
    model.optimize_thresholds(*validation, optimize_kwargs={"verbose": False}, save_to_json=False)

    def predict(image: NDArray[np.uint8]) -> NDArray[np.int32]:
        found, _ = model.predict_instances(scaled(image))
        return found.astype(np.int32)  # type: ignore[no-any-return]

    about = {"patch_px": side, "batch": batch, "thresholds": [float(t) for t in model.thresholds]}
    return Trained(predict, ender.steps, used, model.keras_model.count_params(), about)


class Ender(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a training when its CPU time is over."""

    def __init__(self, seconds: float, device: str) -> None:
        super().__init__()
        self.budget, self.steps = Budget(seconds, device), 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a step, and end after the last."""
        self.steps += 1
        if self.budget.used >= self.budget.seconds:
            self.model.stop_training = True

    def on_test_begin(self, logs: Any = None) -> None:
        """Leave the validation out, as of all methods."""
        self.budget.stop()

    def on_test_end(self, logs: Any = None) -> None:
        """Count again."""
        self.budget.resume()


def scaled(image: NDArray[Any]) -> NDArray[np.float32]:
    """Percentiles 1 and 99.8 become 0 and 1."""
    return np.asarray(normalize(image, 1, 99.8), np.float32)


def augmented(image: NDArray[Any], labels: NDArray[Any], rng: np.random.Generator) -> tuple[Any, Any]:
    """A patch and its labels, mirrored and turned at random, with varied intensity and noise."""
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    image, labels = (np.rot90(plane[:, ::-1] if mirror else plane, turns) for plane in (image, labels))
    image = image * rng.uniform(0.6, 2) + rng.uniform(-0.2, 0.2)
    return image + 0.02 * rng.uniform(0, 1) * rng.normal(size=image.shape), labels
