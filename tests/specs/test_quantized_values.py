"""Numbers of eight bits are those of torch, and weights round to them by some scale only if they were quantized so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.specs.quantized_values import EIGHT_BITS, decode, rounds_to

DTYPES = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I8": torch.int8}
GREATEST = {"F8_E4M3": 448.0, "F8_E5M2": 57344.0, "I8": 127.0}
each_dtype = pytest.mark.parametrize("dtype", sorted(DTYPES))


def quantize(values: np.ndarray, dtype: str, scale: float) -> np.ndarray:
    """What torch stores of values divided by a scale, as bytes of the dtype."""
    scaled = torch.from_numpy(values / scale).float().clamp(-GREATEST[dtype], GREATEST[dtype])
    stored = scaled.round().to(torch.int8) if dtype == "I8" else scaled.to(DTYPES[dtype]).view(torch.uint8)
    return stored.numpy().astype(EIGHT_BITS[dtype])


@each_dtype
def test_every_code_that_is_a_number_stands_for_that_of_torch(dtype: str) -> None:
    codes = np.arange(256, dtype=np.uint8).view(EIGHT_BITS[dtype])
    expected = torch.from_numpy(codes).view(DTYPES[dtype]).double().numpy()
    is_number = np.isfinite(expected)
    assert is_number.sum() >= 248
    np.testing.assert_array_equal(decode(codes, dtype)[is_number], expected[is_number])


@each_dtype
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(-6, 3))
def test_weights_round_to_what_was_made_of_them_by_any_scale(dtype: str, seed: int, size: int) -> None:
    values = np.random.default_rng(seed).normal(0, 10.0**size, 64).astype(np.float32).astype(np.float64)
    scale = np.abs(values).max() / GREATEST[dtype]
    quantized = decode(quantize(values, dtype, scale), dtype)
    assert rounds_to(values, quantized, dtype)
    assert rounds_to(torch.from_numpy(values).bfloat16().double().numpy(), quantized, dtype)  # rounded before


@each_dtype
@given(seed=st.integers(0, 2**32 - 1), change=st.sampled_from(["others", "turned", "one off", "one of another sign"]))
def test_other_weights_round_to_it_by_no_scale(dtype: str, seed: int, change: str) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(0, 0.1, 64)
    quantized = decode(quantize(values, dtype, np.abs(values).max() / GREATEST[dtype]), dtype)
    largest = int(np.abs(values).argmax())
    if change == "others":
        values = generator.normal(0, 0.1, 64)
    elif change == "turned":
        values = -values
    elif change == "one off":
        values[largest] *= 1.5
    else:
        values[largest] *= -1
    assert not rounds_to(values, quantized, dtype)


@each_dtype
def test_zeros_are_of_zeros_alone(dtype: str) -> None:
    zeros = np.zeros(4)
    assert rounds_to(zeros, zeros, dtype)
    assert not rounds_to(np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.0, 0.0, GREATEST[dtype], 0.0]), dtype)
