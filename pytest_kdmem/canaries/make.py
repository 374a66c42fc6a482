"""Draws canaries: random strings of tokens that a tokenizer has, which it reads back as the same tokens.

Canaries and twins are drawn alike, so a model that saw neither ranks them at random among each other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.canaries.manifest import Canary, Manifest
from pytest_kdmem.canaries.plan import CanaryPlan
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.errors import SpecError

# Words of letters and digits: no format escapes, strips or splits them.
WORD = re.compile(r" ?[^\W_]+")
LEAST_ALPHABET = 32
TOKENS_AT_ONCE = 4096
# Draws of a string before it is given up that a tokenizer reads it back.
MOST_DRAWS = 100


def make_canaries(tokenizer: Tokenizer, tokenizer_digest: str, plan: CanaryPlan) -> Manifest:
    """Draw canaries and twins; the same arguments give the same ones.

    Raises:
        SpecError: The tokenizer has too few words that it reads back as one token each.
    """
    alphabet = _alphabet(tokenizer)
    if len(alphabet) < LEAST_ALPHABET:
        raise SpecError(
            f"A tokenizer with {LEAST_ALPHABET} words that are one token each was expected for canaries; found"
            f" {len(alphabet)}."
        )
    draw = np.random.default_rng(plan.seed)
    numbers = [copies for copies in sorted(plan.copies) for _ in range(plan.count)] + [0] * plan.twins
    drawn: dict[tuple[int, ...], Canary] = {}
    for copies in numbers:
        canary = _draw_canary(tokenizer, alphabet, plan, copies, draw)
        drawn[canary.ids] = canary
    if len(drawn) < len(numbers):
        raise SpecError("Canaries that all differ were expected, and some are the same; draw longer ones.")
    return Manifest(
        tokenizer_digest, plan.prefix_tokens, plan.suffix_tokens, plan.seed, len(alphabet), tuple(drawn.values())
    )


def _alphabet(tokenizer: Tokenizer) -> TokenIds:
    """The tokens ``[a]`` that are a word each, and that stay two tokens where one stands behind the other."""
    words = []
    for start in range(0, tokenizer.size, TOKENS_AT_ONCE):
        numbers = [
            number
            for number in range(start, min(start + TOKENS_AT_ONCE, tokenizer.size))
            if number not in tokenizer.special_ids
        ]
        texts = [tokenizer.decode(np.array([number, number], np.int32)) for number in numbers]
        encoded = _encode(tokenizer, texts)
        words += [
            number
            for number, text, ids in zip(numbers, texts, encoded, strict=True)
            if ids[-2:] == [number, number]
            and len(ids) == 2
            and len(text.split()) == 2
            and WORD.fullmatch(text.split()[0])
        ]
    return np.array(words, np.int32)


def _draw_canary(
    tokenizer: Tokenizer, alphabet: TokenIds, plan: CanaryPlan, copies: int, draw: np.random.Generator
) -> Canary:
    length = plan.prefix_tokens + plan.suffix_tokens
    for _ in range(MOST_DRAWS):
        ids = draw.choice(alphabet, length)
        # Without a space in front, which some formats strip; the first token may become another by that.
        prefix = tokenizer.decode(ids[: plan.prefix_tokens]).strip()
        suffix = tokenizer.decode(ids[plan.prefix_tokens :]).strip()
        [encoded] = _encode(tokenizer, [f"{prefix} {suffix}"])
        if len(encoded) == length and encoded[1:] == ids[1:].tolist():
            return Canary(tuple(encoded), prefix, suffix, copies)
    raise SpecError(
        "A tokenizer that reads a string of its own words back as the same tokens was expected for canaries, and this"
        f" one did so with none of {MOST_DRAWS} strings."
    )


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return tokenizer.encode(list(texts), add_special_tokens=False)
