"""Reads some answers of conversations as declared, and behind prompts that training may have shown otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.common_templates import COMMON_TEMPLATES
from pytest_kdmem.corpus.conversations import ASSISTANT, ChatRow, Completion, Conversation
from pytest_kdmem.corpus.learned_turns import LearnedTurns
from pytest_kdmem.corpus.other_readings import OtherReading
from pytest_kdmem.corpus.reading_source import Source
from pytest_kdmem.corpus.token_pairs import FEWEST_TOKENS, TokenPair
from pytest_kdmem.corpus.turns import TurnEncoder, cut_turn


@dataclass(frozen=True, eq=False)
class Answer:
    """An answer as read: its tokens behind those of its prompt, and the place where it begins."""

    row: ChatRow
    ids: TokenIds
    start: int
    is_whole: bool  # whether all that stands before it is in the window


def read_answers_otherwise(
    source: Source, documents: Sequence[Document], *, compared: int
) -> tuple[tuple[Answer, ...], list[OtherReading]]:
    """Some answers as read, and behind other prompts, of which none is the same as read.

    Args:
        source: What the documents are of.
        documents: Conversations to draw from.
        compared: Number of answers to draw, each of another conversation.
    """
    answers = tuple(islice(_drawn(source, documents), compared))
    whole = [answer for answer in answers if answer.is_whole]
    readings = [_reading(f"chat-{name}", source, whole, change) for name, change in _edge_changes(source)]
    readings.append(_reading("chat-plain", source, whole, lambda answer: _plain_prompt(source, answer)))
    readings.append(_reading("chat-template", source, whole, lambda answer: _own_template(source, answer)))
    readings += [_reading(name, source, whole, _by_template(source, name)) for name in COMMON_TEMPLATES]
    return answers, [reading for reading in readings if reading.pairs]


def _drawn(source: Source, documents: Sequence[Document]) -> Iterator[Answer]:
    """The last answers of conversations in random order, which hold as many tokens as gates read, if any do."""
    encoder = TurnEncoder(source.training_set, source.tokenizer, source.extraction)
    rows = [document for document in documents if isinstance(document, ChatRow)]
    short = []
    for index in np.random.default_rng(0).permutation(len(rows)):
        encoded = encoder.encode(rows[index])
        cut, start = cut_turn(encoded.ids, encoded.answers[-1], source.extraction)
        cut = cut[: start + source.extraction.suffix_tokens]  # which gates read
        answer = Answer(rows[index], cut, start, start == max(1, encoded.answers[-1][0]))
        if len(cut) == start + source.extraction.suffix_tokens:
            yield answer
        elif len(cut) >= start + FEWEST_TOKENS:
            short.append(answer)
    yield from short


def _edge_changes(source: Source) -> Iterator[tuple[str, Callable[[Answer], TokenIds]]]:
    """With a beginning token in front of each conversation, and without the one it has."""
    ids = source.edge_ids()

    def with_first(first: int) -> Callable[[Answer], TokenIds]:
        return lambda answer: np.concatenate([np.array([first], np.int32), answer.ids[: answer.start]])

    for name, first in ids.items():
        yield f"{name}-first", with_first(first)
    edges = list(ids.values())
    yield "nothing-first", lambda answer: answer.ids[int(np.isin(answer.ids[:1], edges).sum()) : answer.start]


def _plain_prompt(source: Source, answer: Answer) -> TokenIds:
    """The texts before an answer, one a line and without a template."""
    if isinstance(answer.row, Completion):
        return answer.ids[: answer.start]
    return _token_ids(source, "".join(f"{text}\n" for _, text in _before(answer.row)))


def _own_template(source: Source, answer: Answer) -> TokenIds:
    """The prompt of a plain completion as the tokenizer's chat template shows a user's message, if there is one."""
    if not isinstance(answer.row, Completion) or source.tokenizer is None:
        return answer.ids[: answer.start]
    row = answer.row
    messages = ({"role": "user", "content": row.prompt}, {"role": ASSISTANT, "content": row.completion})
    rendered = LearnedTurns(source.tokenizer.chat_template(None)).render(Conversation(messages, row.where))
    return rendered.ids[: rendered.answers[-1][0]]


def _by_template(source: Source, name: str) -> Callable[[Answer], TokenIds]:
    return lambda answer: _token_ids(source, COMMON_TEMPLATES[name](_before(answer.row)))


def _before(row: ChatRow) -> list[tuple[str, str]]:
    """Role and text of each message before the last answer of a row."""
    if isinstance(row, Completion):
        return [("user", row.prompt)]
    *before, _ = row.messages
    return [(message["role"], message["content"]) for message in before if isinstance(message.get("content"), str)]


def _token_ids(source: Source, text: str) -> TokenIds:
    assert source.tokenizer is not None  # conversations need one
    [ids] = source.tokenizer.encode([text], add_special_tokens=False)
    return np.asarray(ids, dtype=np.int32)


def _reading(
    name: str, source: Source, answers: Sequence[Answer], change: Callable[[Answer], TokenIds]
) -> OtherReading:
    """The same answers behind other prompts; those whose prompt stays the same are left out."""
    otherwise: list[TokenIds] = []
    pairs = []
    for index, answer in enumerate(answers):
        prompt = answer.ids[: answer.start]
        with suppress(Exception):  # a text that readings of the tokenizer read differently
            prompt = change(answer)
        otherwise.append(np.concatenate([prompt, answer.ids[answer.start :]]))
        if len(prompt) and not np.array_equal(prompt, answer.ids[: answer.start]):
            pairs.append(_pair(index, answer, len(prompt), source.skipped))
    return OtherReading(
        name, tuple(answer.ids for answer in answers), tuple(otherwise), tuple(pair for pair in pairs if pair)
    )


def _pair(index: int, answer: Answer, start: int, skip: int) -> TokenPair | None:
    """The tokens of an answer behind both prompts; those near the beginning of either are not compared."""
    count = len(answer.ids) - answer.start
    first = max(0, skip - answer.start, skip - start)
    places = np.arange(first, count)
    if len(places) < FEWEST_TOKENS:
        return None

    def at(begin: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        return np.stack([np.full_like(places, index), places + begin], axis=1)

    return TokenPair(at(answer.start), at(start), (len(places), len(places)))
