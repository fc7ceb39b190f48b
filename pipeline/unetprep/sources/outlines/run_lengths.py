"""Run lengths of COCO: lists of counts, and their compressed text.

The counts of a mask are the lengths of runs of 0 and 1 by turns, down one column after the other. The text holds each
count, from the fourth on as the difference from the count two before, in groups of 5 bits, the lowest first, as the
characters from code 48 on; bit 6 says that another group follows, and the sign is that of the highest bit of the last
group. Source: the COCO API, description of the format in `maskApi.h`.
"""

from collections.abc import Sequence

import numpy as np

from unetprep.sources.outlines.shapes import RunLengths

MORE, SIGN, LOWEST = 32, 16, 48
MAX_GROUPS = 8  # of a count, 40 bits


def run_lengths(counts: object, height: int, width: int) -> RunLengths | str:
    """The mask of counts, a list or compressed text, in an image of this size; or what is wrong with them."""
    numbers = _uncompressed(counts) if isinstance(counts, str) else counts
    if isinstance(numbers, str):
        return numbers
    if not isinstance(numbers, Sequence) or not all(type(n) is int and 0 <= n <= height * width for n in numbers):
        return f"its counts are not whole numbers from 0 to {height * width}, the pixels of the image"
    ends = np.cumsum(np.array(numbers, np.int64))
    total = int(ends[-1]) if len(ends) else 0
    if total != height * width:
        return f"its counts add up to {total}, and the image has {height} x {width} = {height * width} pixels"
    return RunLengths(height, ends)


def _uncompressed(text: str) -> list[int] | str:
    counts: list[int] = []
    value = groups = 0
    for character in text:
        code = ord(character) - LOWEST
        if not 0 <= code < 2 * MORE or groups == MAX_GROUPS:
            return f"its compressed counts hold {character!r}, or a number of too many digits"
        value |= (code & (MORE - 1)) << (5 * groups)
        groups += 1
        if code & MORE:
            continue
        value -= (1 << (5 * groups)) if code & SIGN else 0
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = groups = 0
    return counts if not groups else "its compressed counts end within a number"
