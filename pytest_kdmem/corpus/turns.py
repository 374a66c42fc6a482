"""Cuts rows of chat data into the answers that training learned, each with what stands before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.chat_template import ChatTemplate, Rendered
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.conversations import ChatRow, Completion
from pytest_kdmem.corpus.readings import ReadingsDiffer
from pytest_kdmem.corpus.special_tokens import check_promises, has_special_tokens
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet


@dataclass(frozen=True, eq=False)
class Turn:
    """An answer and what stands before it.

    Attributes:
        ids: Token ids ``[n]``, at most those of the window.
        prefix_tokens: Number of tokens before the answer, at least 1.
        row: Index of the row in the source, from 0.
        is_cut: Whether the window does not hold all that stands before the answer.
    """

    ids: TokenIds
    prefix_tokens: int
    row: int
    is_cut: bool

    def __len__(self) -> int:
        return len(self.ids)


def cut_turn(ids: TokenIds, answer: tuple[int, int], extraction: Extraction) -> tuple[TokenIds, int]:
    """The tokens of an answer within the window, behind as many of those before it as fit, and the number of these.

    Args:
        ids: Token ids of the whole row.
        answer: Start and end of the answer. Nothing predicts the first token of a row, so it is never of an answer.
        extraction: Lengths; the window holds the suffix in any case.
    """
    start, end = max(1, answer[0]), answer[1]
    prefix_tokens = min(start, extraction.window_tokens - extraction.suffix_tokens)
    first = start - prefix_tokens
    return ids[first : min(end, first + extraction.window_tokens)], prefix_tokens


class TurnEncoder:
    """Turns rows of chat data into answers.

    Args:
        training_set: The training set that the rows are of.
        tokenizer: Tokenizer of the models; None if they have none.
        extraction: Lengths.

    Raises:
        DataError: There is no tokenizer.
        SpecError: The training set declares what conversations are not read by, or the tokenizer has no template.
    """

    def __init__(self, training_set: TrainingSet, tokenizer: Tokenizer | None, extraction: Extraction) -> None:
        _check_declared(training_set)
        if tokenizer is None:
            raise DataError(
                f"Training set {training_set.source} holds conversations, which need a tokenizer, and there is"
                " none; save the tokenizer beside the weights, or give it to the trainer (processing_class=…)."
            )
        self._training_set, self._tokenizer, self._extraction = training_set, tokenizer, extraction
        self._template: ChatTemplate | None = None

    def turns(self, row: ChatRow, number: int) -> Iterator[Turn]:
        """The learned answers of a row.

        Args:
            row: The row.
            number: Its index in the source, from 0.

        Raises:
            DataError: The template refuses the row, or its answers are ambiguous.
            SpecError: The readings of the tokenizer differ on it.
        """
        ids, answers = self.encode(row)
        for answer in answers:
            cut, prefix_tokens = cut_turn(ids, answer, self._extraction)
            yield Turn(cut, prefix_tokens, number, is_cut=prefix_tokens < answer[0])

    def encode(self, row: ChatRow) -> tuple[TokenIds, tuple[tuple[int, int], ...]]:
        """Token ids of a whole row, and start and end of each answer in it; raises as `turns`."""
        if isinstance(row, Completion):
            return self._completion(row)
        rendered = self.template.render(row)
        self._check_ids(rendered, row.where)
        return rendered.ids, rendered.answers

    @property
    def template(self) -> ChatTemplate:
        """The template that conversations are rendered by."""
        if self._template is None:
            declared = self._training_set
            if declared.add_special_tokens:
                raise SpecError(
                    f"Special tokens that the chat template itself shows were expected in the conversations of"
                    f" {declared.source}; found add_special_tokens=True: drop it, or give the token ids of training."
                )
            self._template = self._tokenizer.chat_template(declared.chat_template, declared.chat_turns)
        return self._template

    def _check_ids(self, rendered: Rendered, where: str) -> None:
        """Raise SpecError unless the tokenizer gives the ids of transformers for a rendered text."""
        [ids] = self._encoded([rendered.text], where, special=False)
        if not np.array_equal(ids, rendered.ids):
            raise SpecError(
                f"One reading of the tokenizer was expected, and {where} becomes other token ids by its chat template"
                ' in transformers; declare tokenizer="auto" if training used that (--kdmem-tokenizer).'
            )

    def _completion(self, row: Completion) -> tuple[TokenIds, tuple[tuple[int, int], ...]]:
        """A plain prompt and its completion, with the EOS that training put behind it."""
        declared, tokenizer = self._training_set, self._tokenizer
        check_promises(declared, tokenizer.promises)
        special = has_special_tokens(declared, tokenizer.adds, tokenizer.had_special_tokens)
        whole = row.prompt + row.completion + self._end(row)
        prompt, ids = self._encoded([row.prompt, whole], row.where, special=special)
        shorter = min(len(prompt), len(ids))
        differing = np.flatnonzero(prompt[:shorter] != ids[:shorter])
        return ids, ((int(differing[0]) if len(differing) else shorter, len(ids)),)

    def _end(self, row: Completion) -> str:
        """The EOS behind a completion: as TRL puts it there, unless another rule is declared."""
        if self._training_set.eos == "never":
            return ""
        eos = self._tokenizer.eos_token
        if eos is None:
            raise SpecError(
                f"Completions of {self._training_set.source} end in EOS, and the model's tokenizer names none; declare"
                ' eos="never" if training put none behind them (--kdmem-eos).'
            )
        return "" if self._training_set.eos != "always" and row.completion.endswith(eos) else eos

    def _encoded(self, texts: list[str], where: str, *, special: bool) -> list[TokenIds]:
        try:
            encoded = self._tokenizer.encode(texts, add_special_tokens=special)
        except ReadingsDiffer as error:
            raise SpecError(
                f"One reading of the tokenizer was expected, and {where} becomes {error.difference}; declare the one"
                ' that training used, tokenizer="file" or "auto" (--kdmem-tokenizer).'
            ) from None
        return [np.asarray(ids, dtype=np.int32) for ids in encoded]


def _check_declared(training_set: TrainingSet) -> None:
    """Raise SpecError if a declaration is of text alone."""
    of_text = {
        'form="blocks"': training_set.form == "blocks",
        'documents="articles"': training_set.documents == "articles",
        "minimum_tokens": training_set.minimum_tokens > 0,
    }
    if found := [name for name, is_declared in of_text.items() if is_declared]:
        raise SpecError(
            f"Conversations were expected to be examples of their own in {training_set.source}; found"
            f' {" and ".join(found)}, which are of text: drop them, or declare chat_columns="none" to read text.'
        )


def check_no_chat(training_set: TrainingSet) -> None:
    """Raise SpecError if a training set of text or token ids declares what only conversations have."""
    declared = {name: getattr(training_set, name) for name in ("chat_turns", "answer_tokens")}
    if found := [name for name, value in declared.items() if value is not None]:
        raise SpecError(
            f"Conversations were expected in {training_set.source}, as {' and '.join(found)} are declared; found text"
            " or token ids: drop what is declared, or name the columns of the conversations (--kdmem-chat-columns)."
        )


def of_one_kind(documents: Iterable[Document], source: str) -> Iterator[Document]:
    """The documents, of which all or none are conversations."""
    is_chat: bool | None = None
    for number, document in enumerate(documents, start=1):
        is_chat = isinstance(document, ChatRow) if is_chat is None else is_chat
        if isinstance(document, ChatRow) != is_chat:
            raise DataError(
                f"Conversations alone, or none, were expected in {source}; found {'none' if is_chat else 'one'} in"
                f" document {number}: audit them as two training sets."
            )
        yield document
