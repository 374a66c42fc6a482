"""Cuts rows of chat data into the turns that training learned, each with what stands before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.chat_template import ChatTemplate
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.conversations import ChatRow, Completion
from pytest_kdmem.corpus.learned_turns import LearnedTurns, Rendered, Span, common_length
from pytest_kdmem.corpus.readings import ReadingsDiffer
from pytest_kdmem.corpus.special_tokens import check_promises, has_special_tokens
from pytest_kdmem.corpus.text_places import text_of
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet


@dataclass(frozen=True, eq=False)
class Turn:
    """A turn and what stands before it.

    Attributes:
        ids: Token ids ``[n]``, at most those of the window.
        prefix_tokens: Number of tokens before the turn, at least 1.
        row: Index of the row in the source, from 0.
        is_cut: Whether the window does not hold all that stands before the turn.
        unaudited: Number of turns of the row that are no examples and are as long as the suffix; 0 of all but the first
            turn of a row.
    """

    ids: TokenIds
    prefix_tokens: int
    row: int
    is_cut: bool
    unaudited: int = 0

    def __len__(self) -> int:
        return len(self.ids)


def cut_turn(ids: TokenIds, turn: Span, extraction: Extraction) -> tuple[TokenIds, int]:
    """The tokens of a turn within the window, behind as many of those before it as fit, and the number of these.

    Args:
        ids: Token ids of the whole row.
        turn: Start and end of the turn. Nothing predicts the first token of a row, so it is never of a turn.
        extraction: Lengths; the window holds the suffix in any case.
    """
    start, end = max(1, turn[0]), turn[1]
    prefix_tokens = min(start, extraction.window_tokens - extraction.suffix_tokens)
    first = start - prefix_tokens
    return ids[first : min(end, first + extraction.window_tokens)], prefix_tokens


class TurnEncoder:
    """Turns rows of chat data into answers, and into turns of other roles where training took the loss of these.

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
        self._finds_others = training_set.chat_roles == "all"

    def turns(self, row: ChatRow, number: int) -> Iterator[Turn]:
        """The learned turns of a row.

        Args:
            row: The row.
            number: Its index in the source, from 0.

        Raises:
            DataError: The template refuses the row, or its turns are ambiguous.
            SpecError: The readings of the tokenizer differ on it.
        """
        encoded = self.encode(row)
        unaudited = 0 if self._finds_others else self._count_others(row, encoded)
        others = encoded.others if self._finds_others else ()
        for span in sorted((*encoded.answers, *others)):
            cut, prefix_tokens = cut_turn(encoded.ids, span, self._extraction)
            yield Turn(cut, prefix_tokens, number, prefix_tokens < span[0], unaudited)
            unaudited = 0

    def encode(self, row: ChatRow) -> Rendered:
        """Token ids of a whole row, and where its turns stand in it; raises as `turns`."""
        if isinstance(row, Completion):
            return self._completion(row)
        rendered = self._conversations.render(row)
        self._check_ids(rendered, row.where)
        return rendered

    @cached_property
    def _template(self) -> ChatTemplate:
        """The template that conversations are rendered by."""
        declared = self._training_set
        if declared.add_special_tokens:
            raise SpecError(
                f"Special tokens that the chat template itself shows were expected in the conversations of"
                f" {declared.source}; found add_special_tokens=True: drop it, or give the token ids of training."
            )
        return self._tokenizer.chat_template(declared.chat_template)

    @cached_property
    def _conversations(self) -> LearnedTurns:
        return LearnedTurns(self._template, last=self._training_set.chat_turns, finds_others=self._finds_others)

    def _count_others(self, row: ChatRow, encoded: Rendered) -> int:
        """Number of turns of a row that are no answers and whose text has as many tokens as a suffix."""
        least = self._extraction.suffix_tokens
        if isinstance(row, Completion):
            return sum(end - start >= least for start, end in encoded.others)
        texts = [text_of(row.messages[turn]) for turn in row.other_turns]
        # A token has at least one byte.
        lengths = map(len, self._template.ids_of_texts([text for text in texts if len(text.encode()) >= least]))
        return sum(length >= least for length in lengths)

    def _check_ids(self, rendered: Rendered, where: str) -> None:
        """Raise SpecError unless the tokenizer gives the ids of transformers for a rendered text."""
        [ids] = self._encoded([rendered.text], where, special=False)
        if not np.array_equal(ids, rendered.ids):
            raise SpecError(
                f"One reading of the tokenizer was expected, and {where} becomes other token ids by its chat template"
                ' in transformers; declare tokenizer="auto" if training used that (--kdmem-tokenizer).'
            )

    def _completion(self, row: Completion) -> Rendered:
        """A plain prompt and its completion, with the EOS that training put behind it."""
        declared, tokenizer = self._training_set, self._tokenizer
        check_promises(declared, tokenizer.promises)
        special = has_special_tokens(declared, tokenizer.adds, tokenizer.had_special_tokens)
        whole = row.prompt + row.completion + self._end(row)
        prompt, ids = self._encoded([row.prompt, whole], row.where, special=special)
        start = common_length(prompt, ids)
        return Rendered(ids, whole, ((start, len(ids)),), ((1, start),) if start > 1 else ())

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
    if training_set.chat_roles == "all" and training_set.chat_turns is not None:
        raise SpecError(
            f"The loss of all turns, or of the last answers alone, was expected of {training_set.source}; found"
            f' chat_roles="all" with chat_turns={training_set.chat_turns}: drop the one that training did not have.'
        )
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
    declared = {name: getattr(training_set, name) for name in ("chat_turns", "chat_roles", "answer_tokens")}
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
