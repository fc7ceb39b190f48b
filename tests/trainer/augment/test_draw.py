"""Sampled augmentation parameters."""

import hashlib
import itertools
import json
import math
from dataclasses import asdict, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unetprep.kernels.warp import Transform
from unettrain.augment.draw import NO_AUGMENTATION, Draw, draw, margin_needed
from unettrain.config import Augmentation
from unettrain.data.opening import NO_FIELDS, StoredFields

TILE, OUTPUT, MARGIN = 60, 20, 8
FIELDS = StoredFields(np.random.default_rng(3).normal(0, 2, (6, 2, 3, 3)).astype(np.float32), {})


@given(seed=st.integers(0, 2**63), epoch=st.integers(0, 2**40), sample=st.integers(0, 2**40))
def test_a_draw_is_a_pure_function_within_its_limits(seed: int, epoch: int, sample: int) -> None:
    choice = draw(Augmentation(), 100, seed, epoch, sample)
    assert choice == draw(Augmentation(), 100, seed, epoch, sample)
    assert choice.field is not None
    assert 0 <= choice.field < 100
    assert 0 <= choice.turn < 8
    assert abs(choice.black) <= 0.05
    assert abs(choice.white - 1) <= 0.05
    still = draw(Augmentation(deform=False, gray_values=False), 100, seed, epoch, sample)
    assert still == Draw(None, choice.turn)
    assert draw(NO_AUGMENTATION, 100, seed, epoch, sample) == Draw()


def test_draws_differ_by_seed_epoch_and_sample_and_are_spread_evenly() -> None:
    draws = [draw(Augmentation(), 10, s, e, k) for s in range(4) for e in range(20) for k in range(20)]
    assert len(set(draws)) == len(draws)
    assert np.bincount([d.field or 0 for d in draws], minlength=10).min() > 100
    assert np.bincount([d.turn for d in draws], minlength=8).min() > 140
    assert abs(np.mean([d.black for d in draws])) < 0.005
    assert abs(np.corrcoef([d.black for d in draws], [d.white for d in draws])[0, 1]) < 0.1


EVERYTHING = Augmentation(rotation=30, scale=1.25, shift=4, noise=0.1, blur=1.5)


@given(seed=st.integers(0, 2**63), epoch=st.integers(0, 2**40), sample=st.integers(0, 2**40))
def test_every_kind_stays_within_its_limits_and_leaves_the_others_alone(seed: int, epoch: int, sample: int) -> None:
    choice = draw(EVERYTHING, 100, seed, epoch, sample)
    usual = draw(Augmentation(), 100, seed, epoch, sample)
    assert (choice.field, choice.turn, choice.black, choice.white, choice.slope) == (
        usual.field,
        usual.turn,
        usual.black,
        usual.white,
        usual.slope,
    )
    assert abs(choice.slope - 1) <= 0.2
    assert abs(choice.angle) <= 30
    assert 0.8 <= choice.scale <= 1.25
    assert max(map(abs, choice.shift)) <= 4
    assert 0 <= choice.blur <= 1.5
    assert (choice.noise, choice.noise_key) == (0.1, (seed, epoch, sample))


def test_a_fixed_seed_gives_a_frozen_digest() -> None:
    kinds = Augmentation(rotation=30, shift=4, noise=0.1, blur=1.5)
    draws = [asdict(draw(kinds, 1000, 42, epoch, sample)) for epoch in range(3) for sample in range(100)]
    digest = hashlib.sha256(json.dumps(draws).encode()).hexdigest()
    assert digest == "c3b1bc8d42df0a9c6c58de19d43c970e7c7757f22fe74a004842df7ee5fb6f60"


def test_the_margin_needed_is_as_far_as_anything_reaches() -> None:
    """By looking at where the pixels of the tile's edge come from, at the extremes of what may be drawn."""
    augmentation = Augmentation(rotation=20, scale=1.1, shift=3)
    needed = margin_needed(augmentation, FIELDS, TILE)
    farthest = 0.0
    for field, angle, scale, shift in itertools.product(range(6), (-20.0, 20.0), (1 / 1.1, 1.1), (-3.0, 3.0)):
        choice = Draw(field=field, angle=angle, scale=scale, shift=(shift, shift))
        places = Transform(choice.matrix, choice.shift, FIELDS.grids[field]).coordinates(TILE)
        farthest = max(farthest, -places.min(), places.max() - (TILE - 1))
    assert farthest <= needed < farthest + 3
    assert margin_needed(replace(augmentation, cubic=True), FIELDS, TILE) == needed + 1
    assert margin_needed(NO_AUGMENTATION, FIELDS, TILE) == 0
    inwards = np.zeros((1, 2, 3, 3), np.float32)
    inwards[0, :, 1, 1] = 9  # the middle alone moves
    assert margin_needed(Augmentation(), StoredFields(inwards), TILE) < 3
    assert margin_needed(Augmentation(), StoredFields(np.roll(inwards, 1, axis=2)), TILE) == 9
    fine = np.zeros((1, 2, 25, 25), np.float32)
    fine[0, 0, 0, 7] = 5  # a narrow peak on the first row
    assert margin_needed(Augmentation(), StoredFields(fine), 572) == 5
    assert margin_needed(Augmentation(deform=False, rotation=90), NO_FIELDS, TILE) == math.ceil(29.5 * (2**0.5 - 1))
