"""Joins documents and cuts them into windows, as training that packs its documents does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.padding import WindowPadding
from pytest_kdmem.corpus.token_files import is_stream
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import TrainingSet


def to_blocks(
    sequences: Iterable[TokenIds],
    tokenizer: Tokenizer | None,
    training_set: TrainingSet,
    window: int,
    padding: WindowPadding | None = None,
) -> Iterator[TokenIds]:
    """Windows of joined documents, or of a stream; the last one may be shorter.

    Args:
        sequences: Documents, or parts of a stream.
        tokenizer: Tokenizer of the models; None if they have none.
        training_set: What they are of.
        window: Tokens of a window.
        padding: Looks at the windows of a stream.

    Raises:
        SpecError: An EOS is to be put behind documents and the tokenizer names none, or a document ends in a special
            token already and the training set does not declare what training made of that.
    """
    pending: list[TokenIds] = []
    tokens = 0
    for ids in _ended(sequences, tokenizer, training_set):
        pending.append(ids)
        tokens += len(ids)
        if tokens >= window:
            joined = np.concatenate(pending) if len(pending) > 1 else pending[0]
            complete = tokens - tokens % window
            windows = joined[:complete].reshape(-1, window)
            if padding is not None:
                padding.add(windows)
            yield from windows
            pending, tokens = [joined[complete:]] if tokens > complete else [], tokens - complete
    if tokens:
        yield np.concatenate(pending)


def _ended(sequences: Iterable[TokenIds], tokenizer: Tokenizer | None, training_set: TrainingSet) -> Iterable[TokenIds]:
    """Documents with the EOS that training put behind them."""
    rule = "never" if is_stream(training_set) else training_set.eos
    if rule == "never":
        return sequences
    if tokenizer is None or tokenizer.eos_id is None:
        raise SpecError(
            f"Blocks of {training_set.source} are joined by EOS, and the model's tokenizer names none; declare"
            ' eos="never" if training joined documents without one (--kdmem-eos).'
        )
    return _with_eos(sequences, tokenizer.eos_id, tokenizer.special_ids, training_set)


def _with_eos(
    sequences: Iterable[TokenIds], eos_id: int, special_ids: frozenset[int], training_set: TrainingSet
) -> Iterator[TokenIds]:
    end = np.array([eos_id], dtype=np.int32)
    for number, ids in enumerate(sequences, start=1):
        last = int(ids[-1]) if len(ids) else None
        # Where none does, it makes no difference whether training left one out there (`special_tokens.possible_ends`).
        if training_set.eos is None and (last == eos_id or last in special_ids):
            raise SpecError(
                f"Documents without an EOS of their own were expected in {training_set.source}, as blocks put one"
                f" behind each; found the special token {last} at the end of document {number}: declare whether"
                ' training put none behind such a one (eos="once", as TRL does), none behind any (eos="never", as'
                ' run_clm does), or one behind each (eos="always"; --kdmem-eos).'
            )
        yield ids if training_set.eos == "once" and last == eos_id else np.concatenate([ids, end])
