"""Groups examples into shards, the unit of scoring, storing and resuming."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import pyarrow as pa

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.corpus.copy_counts import CopyCount, CopyCounter
from pytest_kdmem.corpus.drawing import StrataDraw, Stratum, draw
from pytest_kdmem.corpus.examples import Example, in_batches, stream_examples
from pytest_kdmem.corpus.groups import check_one_example_a_row, read_groups
from pytest_kdmem.corpus.presets import Selection, resolve
from pytest_kdmem.corpus.sources import ReadDocuments, read_documents
from pytest_kdmem.corpus.strata_of import StrataOf
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.specs.runtime import EXAMPLES_PER_SHARD


@dataclass(frozen=True)
class Shard:
    """Consecutive examples that are scored and stored together."""

    examples: tuple[Example, ...]

    @cached_property
    def digest(self) -> str:
        """Digest of the examples' positions and token ids, whatever file they come from."""
        return digest_of([(example.position, example.digest) for example in self.examples])


def rows_digest(rows: pa.Table) -> str:
    """Digest of the shard that scored rows belong to, by their columns ``example_id`` and ``digest``."""
    return digest_of(list(zip(rows["example_id"].to_pylist(), rows["digest"].to_pylist(), strict=True)))


@dataclass(frozen=True)
class CorpusRecord:
    """Counts and digests of a training set that was read once; it holds no text and no token ids.

    Attributes:
        examples: Number of examples in the training set.
        too_short: Number of those that have fewer tokens than prefix and suffix.
        exhaustive: Whether every example is in the shards, and not only a sample.
        shards: Digests of the shards, in order.
        left_out: Number of documents that do not belong to the training set, because they have fewer tokens than its
            ``minimum_tokens``.
        read_as: Digest of the source's content and of all that divides it into shards; empty in records of earlier
            versions.
        cut_prompts: Number of answers that are long enough, and whose prompt the window does not hold as a whole.
        unaudited_turns: Number of turns of conversations that are as long as a suffix and no examples, as they are not
            the assistant's.
        copies: Positions of the first and the further copies of each example of a sample that has any.
        strata: The strata of a stratified sample; none of any other.
        short: The examples that are too short, by the number of their copies; none in records of earlier versions.
        shorter: The documents that were left out, in the same way.
        longer: Number of examples that go on behind prefix and suffix; None in records of earlier versions.
        is_of_answers: Whether the examples are turns of conversations, whose suffix stands behind all before it.
    """

    examples: int
    too_short: int
    exhaustive: bool
    shards: tuple[str, ...]
    left_out: int = 0
    read_as: str = ""
    cut_prompts: int = 0
    unaudited_turns: int = 0
    copies: tuple[tuple[int, ...], ...] = ()
    strata: tuple[Stratum, ...] = ()
    short: tuple[CopyCount, ...] = ()
    shorter: tuple[CopyCount, ...] = ()
    longer: int | None = None
    is_of_answers: bool = False

    @property
    def counts_copies(self) -> bool:
        """Whether it says how often stands what no model is asked for; records of earlier versions do not."""
        return bool(self.short) == bool(self.too_short) and bool(self.shorter) == bool(self.left_out)

    @property
    def digest(self) -> str:
        """Digest of the audited examples."""
        return digest_of(list(self.shards))

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object."""
        content: dict[str, Any] = to_json(self)
        return content

    @staticmethod
    def from_json(content: Any) -> CorpusRecord:
        """Decode what `to_json` returns.

        Raises:
            TypeError, ValueError: The content is no corpus record.
        """
        later = {"read_as": "", "cut_prompts": 0, "unaudited_turns": 0, "copies": [], "strata": []}
        later |= {"short": [], "shorter": [], "longer": None, "is_of_answers": False}
        return from_json(CorpusRecord, later | content, complete=True)


class CorpusReader:
    """Streams the shards of a training set; its ``record`` is complete when the stream has ended.

    Args:
        training_set: The training set to read.
        tokenizer: Tokenizer of the models; None if they have none.
        extraction: Lengths of prefix, suffix and window.
        offline: Never open a network connection.
        read: Function that reads the documents.
        examples_per_shard: Number of examples in each shard but the last.
    """

    def __init__(
        self,
        training_set: TrainingSet,
        tokenizer: Tokenizer | None,
        extraction: Extraction,
        *,
        offline: bool = False,
        read: ReadDocuments = read_documents,
        examples_per_shard: int = EXAMPLES_PER_SHARD,
    ) -> None:
        self._training_set = training_set
        self._extraction = extraction
        self._examples_per_shard = examples_per_shard
        _, self._selection = resolve(training_set)
        self._short, self._shorter = CopyCounter(), CopyCounter()
        self._selection.on_left_out = self._shorter.add_ids
        self._offline = offline

        def stream(selection: Selection) -> Iterator[Example]:
            return stream_examples(training_set, tokenizer, extraction, offline=offline, selection=selection, read=read)

        self._open_stream = stream
        self._stream = stream(self._selection)
        self._examples = self._too_short = self._cut_prompts = self._unaudited = 0
        self._longer, self._is_of_answers = 0, False
        self._exhaustive = True
        self._shards: list[str] = []
        self._copies: tuple[tuple[int, ...], ...] = ()
        self._strata: tuple[Stratum, ...] = ()

    def __iter__(self) -> Iterator[Shard]:
        """Shards in order.

        Raises:
            DataError: There are no examples, or all are too short to be scored.
        """
        drawn: Iterable[Example] = self._counted()
        if self._training_set.sample is not None:
            drawn = self._drawn(drawn, self._training_set.sample)
        for examples in in_batches(drawn, self._examples_per_shard):
            shard = Shard(examples)
            self._shards.append(shard.digest)
            yield shard
        source = self._training_set.source
        if not self._examples:
            raise DataError(f"Training set {source} was expected to hold examples, and it is empty.")
        if self._examples == self._too_short:
            needed = self._extraction.scored_tokens
            raise DataError(
                f"Examples of at least {needed} tokens (prefix + suffix) were expected in {source}, and all"
                f" {self._examples} are shorter; set shorter --kdmem-prefix-tokens and --kdmem-suffix-tokens."
            )

    @property
    def record(self) -> CorpusRecord:
        """Counts and digests of what was read so far."""
        return CorpusRecord(
            self._examples,
            self._too_short,
            self._exhaustive,
            tuple(self._shards),
            self._selection.left_out,
            cut_prompts=self._cut_prompts,
            unaudited_turns=self._unaudited,
            copies=self._copies,
            strata=self._strata,
            short=self._short.counts(),
            shorter=self._shorter.counts(),
            longer=self._longer,
            is_of_answers=self._is_of_answers,
        )

    def _counted(self) -> Iterator[Example]:
        for example in self._stream:
            self._examples += 1
            if not example.is_scored(self._extraction):
                self._too_short += 1
                self._short.add(example.digest, len(example.learned))
            self._cut_prompts += example.is_cut and example.is_scored(self._extraction)
            self._unaudited += example.unaudited
            self._longer += len(example.ids) > example.end(self._extraction)
            self._is_of_answers |= example.prefix_tokens is not None
            yield example

    def _drawn(self, examples: Iterable[Example], size: int) -> Iterable[Example]:
        """A random sample of distinct examples, or what strata take beyond it."""
        scored = (example for example in examples if example.is_scored(self._extraction))
        if isinstance(self._training_set, StrataOf):
            return self._beyond(self._training_set, scored, size)
        drawn = draw(scored, size, self._training_set.seed)
        self._exhaustive, self._copies = drawn.exhaustive, drawn.copies
        return drawn.examples

    def _beyond(self, training_set: StrataOf, scored: Iterable[Example], size: int) -> Iterator[Example]:
        """What the strata of a set take beyond its sample, in a second pass over it."""
        strata_draw = StrataDraw(size, training_set.least, training_set.seed)
        for example in scored:
            strata_draw.see(example)
        if self._examples == self._too_short:
            return
        groups = None
        if training_set.stratify == "group":
            groups = read_groups(training_set, offline=self._offline)
            check_one_example_a_row(groups, training_set, self._examples)
        self._strata, self._copies = strata_draw.choose(None if groups is None else groups.codes)
        self._exhaustive = False
        positions = {position for stratum in self._strata for position in stratum.drawn}
        _, selection = resolve(training_set)
        stream = (example for example in self._open_stream(selection) if example.is_scored(self._extraction))
        # A run scores one example at least.
        taken = (example for example in stream if example.position in positions) if positions else islice(stream, 1)
        missing = max(len(positions), 1)
        for example in taken:
            missing -= 1
            yield example
        if missing:
            raise DataError(
                f"Training set {training_set.source} was expected to stay as it is while its strata are read, and it"
                " was changed; audit it again."
            )
