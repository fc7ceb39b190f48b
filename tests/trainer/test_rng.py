"""Random generators keyed by purpose, seed and counter."""

from itertools import product

import numpy as np

from unettrain.rng import AUGMENTATION, DROPOUT, NOISE, ORDER, SAMPLING, generator

PURPOSES = (ORDER, AUGMENTATION, DROPOUT, NOISE, SAMPLING)


def test_a_generator_depends_on_its_key_alone() -> None:
    first = generator(NOISE, 1, 2, 3)
    generator(NOISE, 1, 2, 4).random(1000)
    np.testing.assert_array_equal(generator(NOISE, 1, 2, 3).random(1000), first.random(1000))


def test_no_two_keys_share_a_number() -> None:
    keys = [*product(PURPOSES, (0, 1, 2**64 - 1), (0, 1, 2**63), (0, 1, 2**63))]
    numbers = np.concatenate([generator(*key).integers(0, 2**64, 50, dtype=np.uint64) for key in keys])
    assert len(np.unique(numbers)) == 50 * len(keys)


def test_a_sequence_does_not_run_into_that_of_the_next_sample_or_epoch() -> None:
    """The counter of Philox is 256 bits wide: epoch and sample are its upper words, which no sequence reaches."""
    long = generator(ORDER, 0, 0, 0).integers(0, 2**64, 100_000, dtype=np.uint64)
    for epoch, sample in ((0, 1), (1, 0)):
        assert not np.isin(generator(ORDER, 0, epoch, sample).integers(0, 2**64, 1000, dtype=np.uint64), long).any()


def test_epoch_and_sample_are_the_upper_half_of_the_counter() -> None:
    expected = np.random.Philox(key=np.array([7, SAMPLING], np.uint64)).advance((3 << 192) + (2 << 128))
    np.testing.assert_array_equal(generator(SAMPLING, 7, 2, 3).random(9), np.random.Generator(expected).random(9))
