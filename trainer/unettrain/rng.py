"""Random generators keyed by purpose, seed and counter, independent of the order of work."""

import numpy as np

ORDER, AUGMENTATION, DROPOUT, NOISE, SAMPLING = range(5)  # purposes


def generator(purpose: int, seed: int, epoch: int, sample: int = 0) -> np.random.Generator:
    """A separate generator for each (purpose, seed, epoch, sample): Philox, which is counter-based."""
    counter = np.array([0, 0, epoch, sample], np.uint64)  # the first two words count the numbers generated
    return np.random.Generator(np.random.Philox(counter=counter, key=np.array([seed, purpose], np.uint64)))
