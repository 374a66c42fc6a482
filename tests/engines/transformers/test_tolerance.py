"""The band in which a verdict is ambiguous: a power of two, and no narrower than the dtype's own spacing."""

from __future__ import annotations

import pytest
import torch

from pytest_kdmem.engines.transformers.tolerance import tolerance_of


@pytest.mark.parametrize(
    ("change", "highest", "dtype", "expected"),
    [
        (0.0, 0.5, torch.float32, 2.0**-23),
        (0.0, 8.0, torch.float32, 2.0**-20),
        (0.0, 8.0, torch.bfloat16, 2.0**-4),
        (0.25, 8.0, torch.float32, 1.0),
        (0.26, 8.0, torch.float32, 2.0),
    ],
)
def test_it_is_four_times_the_change_or_the_spacing_at_the_highest_logits(change, highest, dtype, expected):
    assert tolerance_of(change, highest, dtype) == expected
