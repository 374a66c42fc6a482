"""Which examples that were screened in a fast dtype float32 decides: all whose verdict that dtype could have changed.

The band around zero comes from the examples themselves: some are scored in both dtypes, and the band is a multiple of
the largest change seen. Others outside of it, the nearest among them, are decided as a control. A change that is too
large for the band widens it, and the examples that it then holds are decided as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.engines.protocol import Floats

Rows = npt.NDArray[np.intp]

# The band is this multiple of the largest change seen.
SAFETY_FACTOR = 4.0
# Examples on which the change is measured, drawn from those nearest to zero, where it matters.
SAMPLE = 8
NEAREST_SHARE = 0.25
# Examples outside the band that are decided as a control: half of them the nearest, half of them drawn from all.
CONTROL = 8
SEED = 0


class Band:
    """The band around zero, while examples are decided until no change is too large for it.

    Args:
        screened: Least margin of each example by the fast dtype, ``[n]``, in logits; NaN for a sure miss.
        decided: The same by float32; NaN for those not decided yet. Changed in place.
        width: Least half width, in logits.
        widened: Number of times that an earlier band of these examples was widened.
        factor: What the largest change is multiplied with.
    """

    def __init__(
        self, screened: Floats, decided: Floats, width: float, *, widened: int = 0, factor: float = SAFETY_FACTOR
    ) -> None:
        self.width, self.widened = width, widened
        self._screened, self._decided, self._factor = screened, decided, factor
        self._distance = np.where(np.isnan(screened), np.inf, np.abs(screened))
        self._by_distance = np.argsort(self._distance, kind="stable")
        self._drawn = np.random.default_rng(SEED).permutation(len(screened))
        nearest = self._by_distance[: max(SAMPLE, int(NEAREST_SHARE * len(screened)))]
        nearest = nearest[np.isfinite(self._distance[nearest])]
        self._sample = self._drawn[np.isin(self._drawn, nearest)][:SAMPLE]

    def settle(self, decide: Callable[[Rows], Floats], widest: float) -> bool:
        """Decide examples until the band holds all that it must, or is wider than the margins of sure misses allow.

        Args:
            decide: Scores examples in float32 and returns their least margins.
            widest: Half width, in logits, beyond which a sure miss could lie in the band.

        Returns:
            Whether the band is final.
        """
        while self.width <= widest:
            control = self._control()
            wanted = (self._distance <= self.width) | control
            wanted[self._sample] = True
            if not len(rows := np.flatnonzero(wanted & np.isnan(self._decided))):
                return True
            self._decided[rows] = decide(rows)
            self._widen(control)
        return False

    def _control(self) -> Flags:
        outside = self._distance > self.width
        control = np.zeros(len(outside), dtype=bool)
        for order in (self._by_distance, self._drawn):
            control[order[outside[order]][: CONTROL // 2]] = True
        control[self._sample] = False
        return control

    def _widen(self, control: Flags) -> None:
        change = np.abs(self._decided - self._screened)
        self.width = max(self.width, self._factor * float(np.nanmax(change[~control], initial=0.0)))
        # Far from zero logits are higher and change more, which matters only if it is much of the distance.
        too_large = control & (change > self.width) & (change > self._distance / SAFETY_FACTOR)
        recited_misses = np.isnan(self._screened) & (self._decided >= 0)
        if too_large.any() or recited_misses.any():
            self.widened += 1
            self.width = max(2 * self.width, SAFETY_FACTOR * float(np.nanmax(change[too_large], initial=0.0)))
