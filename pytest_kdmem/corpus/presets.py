"""Hub data sets that the study used, by name, and which of their documents are for training and which are held out.

From the study (arXiv 2601.15394) are the three data sets and a training set of 1 M FineWeb examples of 256 tokens.
All else is this project's choice: configurations, the first documents rather than drawn ones, the same number for
Nemotron-CC-v2, every article of WikiText-103, leaving out documents of fewer than 256 tokens, and what is held out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Documents, TrainingSet

HELD_OUT = ":held-out"
SPLIT = "train"

Tokens = TypeVar("Tokens", bound=Sized)


@dataclass
class Selection:
    """Takes documents, as tokens, from a stream in its order, and counts those that it leaves out as too short.

    Args:
        source: what messages call the training set.
        minimum_tokens: a document of fewer tokens is left out.
        skip: long enough documents that belong to another part and come first.
        take: long enough documents to take after them; None takes all.
    """

    source: str
    minimum_tokens: int = 0
    skip: int = 0
    take: int | None = None
    taken: int = 0
    left_out: int = 0

    def of(self, documents: Iterable[Tokens]) -> Iterator[Tokens]:
        """The documents selected; no more are read than that takes.

        ``left_out`` counts from the end of those skipped over on, so a document is counted in one part only.

        Raises:
            DataError: there are fewer than were to be taken, or all are too short.
        """
        long_enough = self._long_enough(documents)
        for _ in islice(long_enough, self.skip):
            pass
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
        """What a digest needs to tell selections apart: nothing where every document is taken."""
        rule = [self.minimum_tokens, self.skip, self.take]
        return rule if any(rule) else []

    def _long_enough(self, documents: Iterable[Tokens]) -> Iterator[Tokens]:
        for document in documents:
            if len(document) < self.minimum_tokens:
                self.left_out += 1
            else:
                yield document


@dataclass(frozen=True)
class Preset:
    """A data set on the hub, and how the study's examples come out of it.

    Args:
        name: how a `TrainingSet` calls it; with ``:held-out`` behind it, its held-out part.
        repository: hub id, or a folder of the same layout.
        config: configuration of the hub data set.
        licence: of the text, with what its publisher asks for.
        held_out: split of the held-out documents, or how many documents after the training ones are held out where
            there is no such split.
        examples: how many documents of the split ``train`` are trained on; None is all.
        minimum_tokens: documents of fewer tokens are left out, and counted.
        documents: whether a row is a document or a line of one.
        access: how to get a gated data set.
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
        """The split to train on, and which of its documents to take."""
        return SPLIT, Selection(self.name, self.minimum_tokens, take=self.examples)

    def held_out_part(self) -> tuple[str, Selection]:
        """The split that no model is trained on, or the one that is and what to take of it: none of `training_part`."""
        name = f"{self.name}{HELD_OUT}"
        if isinstance(self.held_out, str):
            return self.held_out, Selection(name, self.minimum_tokens)
        return SPLIT, Selection(name, self.minimum_tokens, skip=self.examples or 0, take=self.held_out)

    def part(self, training_set: TrainingSet) -> tuple[str, Selection]:
        """The part that a training set names; a split other than ``train`` is one, too, and taken whole.

        Raises:
            SpecError: it asks for what would make the parts overlap, or for a split of what has its own.
        """
        source, minimum, split = training_set.source, training_set.minimum_tokens, training_set.split
        if minimum not in (0, self.minimum_tokens):
            raise SpecError(
                f"{source} leaves out documents of fewer than {self.minimum_tokens} tokens, so that its parts stay"
                f" apart; found minimum_tokens={minimum}: drop it, or name {self.repository} itself."
            )
        if source.endswith(HELD_OUT):
            if split != SPLIT:
                raise SpecError(f"{source} knows its own split; found split={split!r}: drop one of the two.")
            return self.held_out_part()
        return self.training_part() if split == SPLIT else (split, Selection(source, self.minimum_tokens))


def preset_of(source: str) -> Preset | None:
    """The preset that a source names, by itself or as its held-out part; a file or folder of that name is not it."""
    name = source.removesuffix(HELD_OUT)
    local = any(Path(path).expanduser().exists() for path in (source, name))
    return None if local else PRESETS.get(name)


def resolve(training_set: TrainingSet) -> tuple[TrainingSet, Selection]:
    """What to read, with all that a preset settles filled in, and which of its documents to take.

    Raises:
        SpecError: as `Preset.part`.
    """
    preset = preset_of(training_set.source)
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
