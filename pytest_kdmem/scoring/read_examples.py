"""Reads single examples of a score table again, which must be those that were scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.check_sample import Expected
from pytest_kdmem.scoring.drawn_sets import DRAWN_SETS, drawn_key
from pytest_kdmem.scoring.table import ScoreTable


def read_examples(scores: ScoreTable, rows: Sequence[Expected], *, offline: bool) -> list[Example]:
    """Read the sampled examples from the training set, no further than the last of them.

    A position counts the whole training set, sampled or not, so the sample need not be drawn again; if this process
    has drawn it, nothing is read.

    Raises:
        EngineError: An example is missing, or holds other tokens than when it was scored.
    """
    positions = {row.example_id for row in rows}
    examples = _drawn_examples(scores, positions) or list(_streamed_examples(scores, positions, offline=offline))
    digests = {example.position: example.digest for example in examples}
    if changed := [row.example_id for row in rows if digests.get(row.example_id) != row.digest]:
        raise EngineError(
            f"The examples of {scores.training_set.source} were expected as they were scored, and {len(changed)} of the"
            f" {len(rows)} to read again are missing or changed (first: example {changed[0]}); score it again as it is."
        )
    return examples


def _drawn_examples(scores: ScoreTable, positions: set[int]) -> list[Example]:
    """The examples of a sample that this process drew, if it is of the training set as it is now; else none."""
    drawn = DRAWN_SETS.find(drawn_key(scores.record.read_as, scores.model))
    if drawn is None or drawn.content != fingerprint(scores.training_set):
        return []
    examples = drawn.examples_at(positions)
    return examples if len(examples) == len(positions) else []


def _streamed_examples(scores: ScoreTable, positions: set[int], *, offline: bool) -> Iterator[Example]:
    """Read the training set up to the last of some examples, and yield these."""
    tokenizer = open_tokenizer(scores.model, scores.checkpoint, scores.training_set)
    missing = len(positions)
    if not missing:
        return
    for example in stream_examples(scores.training_set, tokenizer, scores.extraction, offline=offline):
        if example.position in positions:
            yield example
            missing -= 1
            if not missing:
                return
