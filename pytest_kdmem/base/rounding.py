"""Rounds many numbers to significant digits, exactly as a format rounds one."""

from __future__ import annotations

import math

import numpy as np

from pytest_kdmem.base.arrays import Values

DIGITS = 4
# Powers of ten up to this one are floats without an error.
GREATEST_EXACT_POWER = 22
# Nearer than this to the middle of two numbers, or to their ends, the error of one multiplication could decide.
DOUBT = 1e-6


def rounded(values: Values) -> tuple[float | None, ...]:
    """Values ``[n]`` to four significant digits, as ``float(f"{value:.4g}")``; None for one that is not finite.

    Equal numbers are one object: of a million most are repeated, and an object takes three times its place in a tuple.
    """
    bits, places = np.unique(_nearest(values).view(np.int64), return_inverse=True)  # so that 0 and −0 differ
    numbers = [None if math.isnan(number) else number for number in bits.view(np.float64).tolist()]
    return tuple(map(numbers.__getitem__, places.tolist()))


def _nearest(values: Values) -> Values:
    """Values ``[n]`` to four significant digits; NaN for one that is not finite."""
    magnitude = np.abs(values)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        power = DIGITS - 1 - np.floor(np.log10(magnitude))  # of ten that leaves four digits before the point
        is_exact = np.abs(power) <= GREATEST_EXACT_POWER
        power = np.where(is_exact, power, 0)
        up, down = 10.0 ** np.maximum(power, 0), 10.0 ** np.maximum(-power, 0)
        scaled = magnitude * up / down
        whole = np.rint(scaled)
        is_sure = is_exact & (np.abs(scaled - whole) < 0.5 - DOUBT)
        is_sure &= (whole > 10 ** (DIGITS - 1)) & (whole < 10**DIGITS - 1)
        nearest: Values = np.copysign(whole * down / up, values)
    for index in np.flatnonzero(~is_sure).tolist():
        value = float(values[index])
        nearest[index] = float(f"{value:.4g}") if math.isfinite(value) else math.nan
    return nearest
