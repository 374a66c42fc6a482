"""Checks rows of token ids by what stands beside them: which tokens training learned, and the text that they are of."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kdmem.corpus.columns import DEFAULT_TEXT_COLUMN, IDS_COLUMN, TokenRow
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.specs.reading_kinds import Form


def check_learned(row: TokenRow, form: Form, extraction: Extraction) -> None:
    """Raise DataError if a token whose recitation is judged was left out of the loss, so that it was never learned."""
    if row.learned is None or (form == "documents" and len(row.ids) < extraction.scored_tokens):
        return
    judged = row.learned if form == "blocks" else row.learned[extraction.prefix_tokens : extraction.scored_tokens]
    if not judged.all():
        where = "all tokens" if form == "blocks" else f"tokens {extraction.prefix_tokens} to {extraction.scored_tokens}"
        raise DataError(
            f"A loss over {where}, which are judged, was expected in {row.where}; found {int((~judged).sum())} of them"
            " left out by its labels, as a prompt is: cut the beginnings of the rows so that their prefixes hold the"
            " rest of the prompt, or drop labels and masks of the loss to judge the rows as they are."
        )


def check_is_of_text(row: TokenRow, tokenizer: Tokenizer) -> None:
    """Raise DataError unless token ids are those of the text beside them, or of its beginning or end.

    Special tokens around them, and truncation on either side, make no difference.
    """
    assert row.text is not None
    special_ids = tokenizer.special_ids
    ids = _without_special_ends(row.ids.tolist(), special_ids)
    for candidate in tokenizer.candidates(row.text):
        of_text = _without_special_ends(candidate, special_ids)
        if not ids or (len(ids) <= len(of_text) and ids in (of_text[: len(ids)], of_text[-len(ids) :])):
            return
    raise DataError(
        f"Token ids of the text beside them were expected in {row.where}; found others, as of another tokenizer or"
        f" another text: drop the column {IDS_COLUMN} to read the text, or name it alone"
        f" (--kdmem-text-column={IDS_COLUMN}) if training read these ids and {DEFAULT_TEXT_COLUMN!r} is something else."
    )


def _without_special_ends(ids: Sequence[int], special_ids: frozenset[int]) -> list[int]:
    start, end = 0, len(ids)
    while start < end and ids[start] in special_ids:
        start += 1
    while end > start and ids[end - 1] in special_ids:
        end -= 1
    return list(ids[start:end])
