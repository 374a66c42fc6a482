"""A tokenizer of made-up words, and canaries of them."""

from __future__ import annotations

import random
from pathlib import Path

from pytest_kdmem.canaries.make import make_canaries
from pytest_kdmem.canaries.manifest import Manifest
from pytest_kdmem.canaries.plan import CanaryPlan
from pytest_kdmem.corpus.tokenizer import Tokenizer, load_tokenizer
from tests.reciting import byte_level, save_tokenizer

SYLLABLES = "ba ce di fo gu la me ni po ru".split()
WORDS = [first + second for first in SYLLABLES for second in SYLLABLES]
PLAN = CanaryPlan(prefix_tokens=8, suffix_tokens=8, copies=(1, 4), count=3, twins=100)


def sentences(count: int, words: int, *, seed: int = 0) -> list[str]:
    """Texts of random words."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=words)) for _ in range(count)]


def tokenizer_in(folder: Path, *, adds_bos: bool = False) -> Tokenizer:
    """A byte-level tokenizer that has each of the words, behind a space, as a token."""
    save_tokenizer(byte_level(sentences(60, 60), vocabulary=500, adds_bos=adds_bos), folder)
    tokenizer = load_tokenizer(folder, "file")
    assert tokenizer is not None
    return tokenizer


def canaries_of(tokenizer: Tokenizer, plan: CanaryPlan = PLAN) -> Manifest:
    return make_canaries(tokenizer, "vocabulary", plan)
