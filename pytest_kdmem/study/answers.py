"""What one model of a study answers to further questions, as arrays over the same examples for all models of one D."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.metrics.membership import Membership


@dataclass(frozen=True, eq=False)
class AtPrefix:
    """What is recited from the first tokens of examples.

    Args:
        recited: whether the next tokens are recited, bool ``[n]``.
        measured: whether enough tokens follow to tell, bool ``[n]``.
    """

    recited: Flags
    measured: Flags


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers of one model over the n distinct examples of D that are long enough, by their first copies.

    Args:
        examples: digest of what was scored; answers of two models are compared where it is the same.
        memorized: recited exactly, from the prefix of the study, bool ``[n]``.
        copies: number of rows of D that hold each example, int64 ``[n]``.
        at_prefix: what is recited from prefixes of other lengths, by the length in tokens.
        longest_runs: tokens of each example's longest run of hits, int32 ``[n]``.
        near: recited nearly, by how near counts as near, bool ``[n]``.
        extractable: extractable under a sampler, by the sampler in words, bool ``[n]``.
        specific: recited, and not after prefixes of other examples, bool ``[n]``.
        secrets: a secret stands in the suffix, recited or not, by each class that was looked for, bool ``[n]``.
        membership: what attacks tell; None if it was refused.
        refusal: why it was refused.
    """

    examples: str
    memorized: Flags
    copies: npt.NDArray[np.int64]
    at_prefix: Mapping[int, AtPrefix]
    longest_runs: npt.NDArray[np.int32]
    near: Mapping[str, Flags]
    extractable: Mapping[str, Flags]
    specific: Flags
    secrets: Mapping[str, Flags]
    membership: Membership | None = None
    refusal: str = ""
