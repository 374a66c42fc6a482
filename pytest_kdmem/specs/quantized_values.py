"""Decodes weights that are stored in eight bits, and tells whether these are others' weights, rounded.

Quantized weights are stored divided by a scale, one for a tensor, a row or a block, in ways that differ between
libraries. So the scale is not read: weights are others' if any scale makes all of them round to what is stored.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
# Bits of the mantissa and bias of the exponent of each dtype; codes that stand for no number are none of weights.
FLOAT8 = {"F8_E4M3": (3, 7), "F8_E5M2": (2, 15)}
EIGHT_BITS = {"F8_E4M3": "u1", "F8_E5M2": "u1", "I8": "i1"}
# Weights may have been rounded to bfloat16 before.
ROUNDED_BEFORE = 2.0**-8


def decode(stored: npt.NDArray[np.generic], dtype: str) -> Values:
    """The numbers that bytes ``[n]`` of an eight-bit dtype stand for, without their scale."""
    if dtype == "I8":
        return stored.astype(np.float64)
    mantissa_bits, bias = FLOAT8[dtype]
    codes = np.arange(128)
    exponents, fractions = codes >> mantissa_bits, (codes & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    numbers = np.where(exponents > 0, (1 + fractions) * 2.0 ** (exponents - bias), fractions * 2.0 ** (1 - bias))
    values: Values = np.concatenate([numbers, -numbers])[stored]
    return values


def rounds_to(values: Values, quantized: Values, dtype: str) -> bool:
    """Whether values ``[n]``, divided by one positive scale, all round to these numbers of an eight-bit dtype."""
    sizes = np.abs(quantized)
    allowed = _half_steps(sizes, dtype) + sizes * ROUNDED_BEFORE
    along = np.where(quantized == 0, np.abs(values), values * np.sign(quantized))
    least = float((along / (sizes + allowed)).max(initial=0.0))
    is_bounded = sizes > allowed
    greatest = float((along[is_bounded] / (sizes - allowed)[is_bounded]).min(initial=np.inf))
    return least <= greatest


def _half_steps(sizes: Values, dtype: str) -> Values:
    """Half the distance between neighbouring numbers of a dtype, at numbers of these sizes."""
    if dtype == "I8":
        return np.full_like(sizes, 0.5)
    mantissa_bits, bias = FLOAT8[dtype]
    exponents = np.floor(np.log2(np.maximum(sizes, 2.0 ** (1 - bias))))
    steps: Values = 2.0 ** (exponents - mantissa_bits - 1)
    return steps
