"""The study's data sets by name, each divided into documents to train on and documents that are held out.

The three data sets, and the training set of 1 M FineWeb examples of 256 tokens, come from the study (arXiv 2601.15394).
The rest is this project's choice: the configurations, the first documents instead of random ones, as many of
Nemotron-CC-v2, all articles of WikiText-103, the least length of 256 tokens, and the held-out documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from pytest_kdmem.base.paths import exists, local_path
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.reading_kinds import Documents

HELD_OUT = ":held-out"
SPLIT = "train"

Tokens = TypeVar("Tokens", bound=Sized)


@dataclass
class Selection:
    """Selects tokenised documents of a stream, and counts those that it leaves out as too short.

    Args:
        source: Name of the training set in messages.
        minimum_tokens: Documents with fewer tokens are left out.
        skip: Number of documents, of those long enough, that come first and belong to another part.
        take: Number of documents to select after them; None selects all.
        taken: Number of documents selected so far.
        left_out: Number of documents left out so far.
        on_left_out: Called with each of these; None if nobody asks.
    """

    source: str
    minimum_tokens: int = 0
    skip: int = 0
    take: int | None = None
    taken: int = 0
    left_out: int = 0
    on_left_out: Callable[[Any], None] | None = field(default=None, repr=False, compare=False)
    _is_skipping: bool = field(default=False, init=False, repr=False, compare=False)

    def select(self, documents: Iterable[Tokens]) -> Iterator[Tokens]:
        """The selected documents, in order; reading stops after the last of them.

        ``left_out`` counts only behind the skipped documents, so no document counts in two parts.

        Raises:
            DataError: There are fewer documents than were to be selected, or all are too short.
        """
        long_enough = self._long_enough(documents)
        self._is_skipping = True
        for _ in islice(long_enough, self.skip):
            pass
        self._is_skipping = False
        self.taken = self.left_out = 0
        for document in islice(long_enough, self.take):
            self.taken += 1
            yield document
        if self.take is not None and self.taken < self.take:
            after = f" after the first {self.skip}" if self.skip else ""
            raise DataError(
                f"{self.take} documents of at least {self.minimum_tokens} tokens were expected in {self.source}{after};"
                f" found {self.taken}, and {self.left_out} shorter ones: name a larger config or split."
            )
        if self.left_out and not self.taken:
            raise DataError(
                f"Documents of at least {self.minimum_tokens} tokens were expected in {self.source}, and all"
                f" {self.left_out} are shorter; set a smaller minimum_tokens or give longer documents."
            )

    @property
    def rule(self) -> list[int | None]:
        """The entries that tell selections apart in a digest; empty if every document is selected."""
        rule = [self.minimum_tokens, self.skip, self.take]
        return rule if any(rule) else []

    def _long_enough(self, documents: Iterable[Tokens]) -> Iterator[Tokens]:
        for document in documents:
            if len(document) < self.minimum_tokens:
                self.left_out += 1
                if self.on_left_out is not None and not self._is_skipping:
                    self.on_left_out(document)
            else:
                yield document


@dataclass(frozen=True)
class Preset:
    """A data set on the hub, and the documents that the study takes from it.

    Args:
        name: Source of a `TrainingSet` that means it; with ``:held-out`` appended, its held-out part.
        repository: Hub id, or a folder with the same layout.
        config: Configuration of the hub data set.
        licence: Licence of the text, with its publisher's terms.
        held_out: Split that holds the held-out documents; or, without such a split, the number of documents after the
            training ones that are held out.
        examples: Number of documents of the split ``train`` to train on; None for all.
        minimum_tokens: Documents with fewer tokens are left out, and counted.
        documents: Whether a row is a document (``lines``) or a line of an article (``articles``).
        access: How to get access to a gated data set.
    """

    name: str
    repository: str
    config: str | None
    licence: str
    held_out: str | int
    examples: int | None = None
    minimum_tokens: int = 256
    documents: Documents = "lines"
    access: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.held_out, int) and self.examples is None:
            raise SpecError(
                f"The number of training examples of {self.name} was expected, as {self.held_out} after them are held"
                " out; found none: give examples, or name a held-out split."
            )

    def training_part(self) -> tuple[str, Selection]:
        """The split to train on, and the selection of its documents."""
        return SPLIT, Selection(self.name, self.minimum_tokens, take=self.examples)

    def held_out_part(self) -> tuple[str, Selection]:
        """The split that holds the held-out documents, and a selection that shares none with `training_part`."""
        name = f"{self.name}{HELD_OUT}"
        if isinstance(self.held_out, str):
            return self.held_out, Selection(name, self.minimum_tokens)
        return SPLIT, Selection(name, self.minimum_tokens, skip=self.examples or 0, take=self.held_out)

    def part(self, training_set: TrainingSet) -> tuple[str, Selection]:
        """The split and selection that a training set names; another split than ``train`` is selected whole.

        Raises:
            SpecError: The training set has a ``minimum_tokens`` with which the parts would overlap, or it names a split
                of the held-out part.
        """
        source, minimum, split = training_set.source, training_set.minimum_tokens, training_set.split
        if minimum not in (0, self.minimum_tokens):
            raise SpecError(
                f"{source} leaves out documents of fewer than {self.minimum_tokens} tokens, so that its parts stay"
                f" apart; found minimum_tokens={minimum}: drop it, or name {self.repository} itself."
            )
        if source.endswith(HELD_OUT):
            if split != SPLIT:
                raise SpecError(f"{source} has a split of its own; found split={quoted(split)}: drop one of the two.")
            return self.held_out_part()
        return self.training_part() if split == SPLIT else (split, Selection(source, self.minimum_tokens))


def find_preset(source: str) -> Preset | None:
    """The preset that a source names, with or without ``:held-out``; None if a file or folder has that name."""
    name = source.removesuffix(HELD_OUT)
    is_local = any(exists(local_path(path)) for path in (source, name))
    return None if is_local else PRESETS.get(name)


def resolve(training_set: TrainingSet) -> tuple[TrainingSet, Selection]:
    """The training set to read, with the settings of its preset filled in, and the selection of its documents.

    Raises:
        SpecError: As for `Preset.part`.
    """
    preset = find_preset(training_set.source)
    if preset is None:
        return training_set, Selection(training_set.source, training_set.minimum_tokens)
    split, selection = preset.part(training_set)
    read = replace(
        training_set,
        source=preset.name,
        config=training_set.config or preset.config,
        split=split,
        documents="articles" if "articles" in (training_set.documents, preset.documents) else "lines",
    )
    return read, selection


_ALL = (
    Preset(
        "fineweb",
        "HuggingFaceFW/fineweb",
        "sample-10BT",
        licence="ODC-By 1.0, and Common Crawl's terms of use",
        held_out=10_000,
        examples=1_000_000,
    ),
    Preset(
        "wikitext-103",
        "Salesforce/wikitext",
        "wikitext-103-raw-v1",
        licence="CC BY-SA 3.0",
        held_out="validation",
        documents="articles",
    ),
    Preset(
        "nemotron-cc-v2",
        "nvidia/Nemotron-CC-v2",
        "High-Quality",
        licence="NVIDIA Data Agreement for Model Training, as its hub page has it",
        held_out=10_000,
        examples=1_000_000,
        access="it is gated: ask for access on its hub page, then sign in with `hf auth login`",
    ),
)
PRESETS = {preset.name: preset for preset in _ALL}
