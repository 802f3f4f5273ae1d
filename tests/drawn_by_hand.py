"""Random numbers that a test chooses, in place of a generator's."""

import numpy as np


class DrawnByHand:
    """`normal` gives one number of `normals` after the other, `random` one of `randoms`; then only 0 and 1.

    `uniform` gives its upper end and `integers` its lower one.
    """

    def __init__(self, normals=(), randoms=()):
        self.normals, self.randoms = iter(normals), iter(randoms)

    def normal(self, mean, deviation, size=None):
        value = next(self.normals, mean)
        return value if size is None else np.full(size, value)

    def random(self):
        return next(self.randoms, 1.0)

    def uniform(self, low, high):
        return high

    def integers(self, low, high=None, size=None):
        low = 0 if high is None else low
        return low if size is None else np.full(size, low)
