"""The rows that a recipe trains on: the training set, the teacher's text, or rows with its log-probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedModel

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.text import count
from pytest_kdmem.corpus.chat_source import chat_digests
from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.distill.job import OpenedData
from pytest_kdmem.distill.on_policy import with_whole_prompt
from pytest_kdmem.distill.sequence_level import TEXTS_PER_SHARD, teacher_text
from pytest_kdmem.distill.stored_rows import ANSWERS, ROWS_PER_SHARD, TOKEN_IDS, Record, RowStore
from pytest_kdmem.distill.top_k import add_top_k_logprobs
from pytest_kdmem.distill.training_run import TrainingRun
from pytest_kdmem.errors import DataError

# Increase this number when the same teacher and data give other stored rows than before.
ROWS_VERSION = 1


@dataclass(frozen=True, eq=False)
class RowSource:
    """Makes the rows of one run, and stores them.

    Args:
        run: The run.
        tokenizer: Tokenizer of the models; None if they have none and data are token ids.
        embedding_rows: Rows of the smallest embedding that reads the token ids; an id beyond them is an error.
    """

    run: TrainingRun
    tokenizer: Tokenizer | None
    embedding_rows: int

    def examples(self, data: OpenedData, folder_name: str) -> Dataset:
        """Token ids of every example that predicts a token, repeated examples included, with the lengths of the prompts
        of answers.

        Raises:
            DataError: There is no such example, or a token id is outside the vocabulary.
        """
        source = data.declared.source
        examples = stream_examples(
            replace(data.declared, sample=None),
            self.tokenizer,
            self.run.job.extraction,
            offline=self.run.options.offline,
        )
        long_enough = (example for example in examples if len(example.ids) > (example.prefix_tokens or 1))
        usable = islice(long_enough, self.run.options.first_examples)
        first = next(usable, None)
        schema = ANSWERS if first is not None and first.prefix_tokens is not None else TOKEN_IDS

        def check_ids(items: list[Example]) -> Iterator[Record]:
            for example in items:
                if example.ids.max() >= self.embedding_rows:
                    raise DataError(
                        f"Ids below {self.embedding_rows} were expected in {source}; example {example.position} holds"
                        f" {example.ids.max()}: give the tokenizer that belongs to the model."
                    )
                yield {"input_ids": example.ids, "prompt_tokens": example.prefix_tokens}

        store = self._store(self.run.folder.path / folder_name)
        store.add_missing(chain([first] if first is not None else [], usable), check_ids, schema)
        rows = store.rows()
        if not len(rows):
            raise DataError(f"Examples to train on were expected in {source}, and there are none.")
        return rows

    def training_rows(self, vocabulary: int, load_teacher: Callable[[], PreTrainedModel]) -> Dataset:
        """The recipe's rows.

        Args:
            vocabulary: Number of token ids that the teacher's log-probabilities cover.
            load_teacher: Loads the teacher; called only if some of its rows are not stored yet.

        Raises:
            DataError: As in `examples`, or no example is long enough for the teacher to continue.
        """
        job, recipe = self.run.job, self.run.job.recipe
        rows = self.examples(job.training_set, "examples")
        given = len(rows)
        if recipe.mode == "hard":
            store = self._store(self._teacher_folder("text"), TEXTS_PER_SHARD)
            end = self.tokenizer.eos_id if self.tokenizer is not None else None
            rows = teacher_text(load_teacher, rows, job.extraction, self.embedding_rows, store, end=end)
            if not len(rows):
                raise self._too_short("teacher")
            self._tell_left_out(given - len(rows), given)
        elif recipe.is_on_policy:
            rows = with_whole_prompt(rows, job.extraction.prefix_tokens)
            if not len(rows):
                raise self._too_short("student")
            self._tell_left_out(given - len(rows), given)
        elif recipe.mode == "soft" and recipe.teacher_top_k is not None:
            folder = self._teacher_folder(
                f"top-{recipe.teacher_top_k}", recipe.temperature, recipe.precision, vocabulary
            )
            rows = add_top_k_logprobs(load_teacher, rows, recipe, vocabulary, self._store(folder))
        return rows

    def _tell_left_out(self, left_out: int, given: int) -> None:
        if left_out:
            self.run.options.report(
                f"{count(left_out)} of {count(given)} examples are left out: they end before the prefix of"
                f" {count(self.run.job.extraction.prefix_tokens)} tokens that is continued"
            )

    def _too_short(self, writer: str) -> DataError:
        job = self.run.job
        return DataError(
            f"Examples of {job.extraction.prefix_tokens} tokens or more were expected in"
            f" {job.training_set.declared.source} for the {writer} to continue, and there are none."
        )

    def _store(self, folder: Path, rows_per_shard: int = ROWS_PER_SHARD) -> RowStore:
        return RowStore(folder, self.run.processes, rows_per_shard)

    def _teacher_folder(self, kind: str, *settings: object) -> Path:
        """Folder of rows that the teacher makes, named by all that they depend on."""
        job = self.run.job
        if job.training_set.fingerprint is None:  # then another run cannot tell whether its data are the same
            return self.run.folder.path / kind
        text_digest = job.init.checkpoint.text_digest
        key = digest_of(
            [
                ROWS_VERSION,
                job.teacher_digest,
                job.training_set.fingerprint,
                text_digest,
                asdict(job.extraction),
                *settings,
                *chat_digests(job.training_set.declared, job.init.checkpoint),
            ]
        )
        return self.run.make_teachers_folder() / f"{kind}-{key}"
