"""Random generators keyed by purpose, seed and counter, independent of the order of work."""

import numpy as np

ORDER, AUGMENTATION, DROPOUT, NOISE, SAMPLING = range(5)  # what a stream of numbers is for


def generator(purpose: int, seed: int, epoch: int, sample: int = 0) -> np.random.Generator:
    """A generator of its own for each (purpose, seed, epoch, sample), all from 0: Philox, a counter-based one."""
    counter = np.array([0, 0, epoch, sample], np.uint64)  # the first two words count the numbers that are drawn
    return np.random.Generator(np.random.Philox(counter=counter, key=np.array([seed, purpose], np.uint64)))
