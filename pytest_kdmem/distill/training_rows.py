"""What a recipe trains on: the training set, the teacher's text, or rows with the teacher's log-probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedModel

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.corpus.examples import Tokenizer, stream_examples
from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.sequence_level import teacher_text
from pytest_kdmem.distill.stored_rows import IDS, Record, as_ids, store_rows, stored_rows
from pytest_kdmem.distill.top_k import with_top_k
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction, TrainingSet

# Raised when the same teacher and data give other stored rows than before.
FORMAT = 1


@dataclass(frozen=True, eq=False)
class RowSource:
    """Where rows come from and where they are kept.

    Args:
        training_set: as its digest ``fingerprint`` knows it; None where only streaming would tell.
        text_digest: of all that turns text into ids.
        vocabulary: rows of the smallest embedding that reads them; an id beyond them is an error.
        scratch: a folder of this run alone.
        cache: for what a teacher made, which other runs can use.
    """

    training_set: TrainingSet
    fingerprint: str | None
    tokenizer: Tokenizer | None
    text_digest: str
    extraction: Extraction
    vocabulary: int
    scratch: Path
    cache: Path
    processes: ProcessGroup
    offline: bool

    def examples(self, training_set: TrainingSet, name: str) -> Dataset:
        """Token ids of every example that predicts a token, repeats included.

        Raises:
            DataError: there is none, or an id lies outside the vocabulary.
        """
        sequences = stream_examples(
            replace(training_set, sample=None), self.tokenizer, self.extraction, offline=self.offline
        )
        usable = ((example.position, example.ids) for example in sequences if len(example.ids) > 1)

        def checked(items: list[tuple[int, TokenIds]]) -> Iterator[Record]:
            for position, ids in items:
                if ids.max() >= self.vocabulary:
                    raise DataError(
                        f"Ids below {self.vocabulary} were expected in {training_set.source}; example {position} holds"
                        f" {ids.max()}: give the tokenizer that belongs to the model."
                    )
                yield as_ids(ids)

        folder = self.scratch / name
        store_rows(folder, usable, checked, IDS, self.processes)
        self.processes.wait()
        rows = stored_rows(folder)
        if not len(rows):
            raise DataError(f"Examples to train on were expected in {training_set.source}, and there are none.")
        return rows

    def of(
        self, recipe: Recipe, teacher_digest: str | None, vocabulary: int, load_teacher: Callable[[], PreTrainedModel]
    ) -> Dataset:
        """The recipe's rows; the teacher is loaded only where something of it is not stored yet.

        Raises:
            DataError: as `examples`, or no example is long enough for the teacher to continue.
        """
        rows = self.examples(self.training_set, "examples")
        if recipe.mode == "hard":
            folder = self._made_by(teacher_digest, "text")
            rows = teacher_text(load_teacher, rows, self.extraction, self.vocabulary, folder, self.processes)
            if not len(rows):
                raise DataError(
                    f"Examples of {self.extraction.prefix_tokens} tokens or more were expected in"
                    f" {self.training_set.source} for the teacher to continue, and there are none."
                )
        elif recipe.mode == "soft" and recipe.teacher_top_k is not None:
            how = (f"top-{recipe.teacher_top_k}", recipe.temperature, recipe.precision, vocabulary)
            rows = with_top_k(
                load_teacher, rows, recipe, vocabulary, self._made_by(teacher_digest, *how), self.processes
            )
        return rows

    def _made_by(self, teacher_digest: str | None, what: str, *how: object) -> Path:
        if self.fingerprint is None:  # nothing tells whether the data is the same the next time
            return self.scratch / what
        key = digest_of([FORMAT, teacher_digest, self.fingerprint, self.text_digest, asdict(self.extraction), *how])
        return self.cache / "teachers" / f"{what}-{key}"
