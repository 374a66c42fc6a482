"""Scores teacher and baseline in one pass over both, which also gives KL(teacher ‖ baseline)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pytest_kdmem.base.arrays import Values
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import Floats, Scores, check_ids
from pytest_kdmem.engines.transformers.batches import rows_by_length
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.engines.transformers.passes import by_example
from pytest_kdmem.engines.transformers.reduction import reduce_pair
from pytest_kdmem.engines.transformers.windows import Places, Summaries, WindowScores, mean_of_window, summarize_windows
from pytest_kdmem.errors import EngineError, OverflowedError
from pytest_kdmem.specs.declared import Extraction


@dataclass(frozen=True)
class PairedScores:
    """Scores of n examples by each model; ``kl`` ``[n]`` is the mean over the window's predicted tokens, in nats."""

    teacher: Scores
    baseline: Scores
    kl: Floats


class PairedEngine:
    """Two loaded models of one tokenizer on one device.

    Args:
        teacher: The loaded teacher.
        baseline: The loaded baseline.
        tokenizer_size: Number of tokens of the tokenizer, to which the logits of both are cut before they are
            compared; None if there is no tokenizer.
    """

    def __init__(self, teacher: TransformersEngine, baseline: TransformersEngine, tokenizer_size: int | None) -> None:
        self._teacher, self._baseline = teacher, baseline
        smaller = min(teacher.vocabulary, baseline.vocabulary)
        self._vocabulary = min(smaller, tokenizer_size or smaller)
        self._chunk = max(1, min(teacher.passes.chunk, baseline.passes.chunk) // 2)
        # A batch that fits the larger model fits the smaller one as well.
        teacher.batches.size = min(teacher.batches.size, baseline.batches.size)
        teacher.batches.at_once = min(teacher.batches.at_once, baseline.batches.at_once)

    @property
    def engines(self) -> tuple[TransformersEngine, TransformersEngine]:
        """The engines of teacher and baseline."""
        return self._teacher, self._baseline

    def score(
        self, examples: Sequence[Example], extraction: Extraction, advance: Callable[[int], None]
    ) -> PairedScores:
        """Compute all metrics of examples.

        Args:
            examples: Examples of at least prefix and suffix tokens.
            extraction: Lengths of prefix, suffix and window.
            advance: Receives the number of examples done, every few examples.

        Raises:
            EngineError: A model gives NaN, the divergence of an example is infinite, or a single example does not fit
                into memory.
        """
        for engine in (self._teacher, self._baseline):
            check_ids(examples, engine.vocabulary, engine.name)
        lengths = [len(example.ids) for example in examples]
        teacher_scores, baseline_scores = WindowScores(lengths), WindowScores(lengths)
        kl = np.full(len(examples), np.nan, dtype=np.float32)
        order = rows_by_length(examples)
        ids = self._teacher.passes.padded([examples[row] for row in order], extraction)

        def score_batch(batch: slice) -> None:
            rows = order[batch]
            of_teacher, of_baseline, divergence = self._summaries(ids.batch(batch), ids.places(batch), extraction)
            of_batch = [examples[row] for row in rows]
            self._teacher.passes.check_finite(teacher_scores.fill(rows, of_teacher), of_batch)
            self._baseline.passes.check_finite(baseline_scores.fill(rows, of_baseline), of_batch)
            kl[rows] = divergence
            if not (is_finite := np.isfinite(kl[rows])).all():
                raise self._infinite_divergence(of_batch[int(is_finite.argmin())])

        with (
            self._teacher.computing(),
            self._baseline.computing(),
            self._teacher.compiled(),
            self._baseline.compiled(),
        ):
            self._teacher.batches.run(len(examples), score_batch, advance)
        return PairedScores(
            teacher_scores.scores(self._teacher.tolerance), baseline_scores.scores(self._baseline.tolerance), kl
        )

    def losses(self, examples: Sequence[Example]) -> tuple[list[Floats], list[Floats]]:
        """The loss of each token of each example but its first, in nats, by the teacher and by the baseline."""
        return self._teacher.losses(examples), self._baseline.losses(examples)

    def close(self) -> None:
        self._teacher.close()
        self._baseline.close()

    def _infinite_divergence(self, example: Example) -> EngineError:
        return OverflowedError(
            f"A finite KL({self._teacher.name} ‖ {self._baseline.name}) was expected, and the latter gives zero"
            f" probability to a token that the former finds possible, at example {example.position}; audit with"
            " --kdmem-dtype float32, or look at what masks its logits."
        )

    @torch.inference_mode()
    def _summaries(self, ids: Tensor, places: Places, extraction: Extraction) -> tuple[Summaries, Summaries, Values]:
        """What is kept of a batch by the teacher and by the baseline, and the divergences ``[batch]``."""
        teacher_hidden, targets = self._teacher.passes.hidden(ids, 1)
        baseline_hidden, _ = self._baseline.passes.hidden(ids, 1)
        reduced = reduce_pair(
            (teacher_hidden, self._teacher.passes.logits),
            (baseline_hidden, self._baseline.passes.logits),
            targets,
            vocabulary=self._vocabulary,
            chunk=self._chunk,
        )
        sides = [
            summarize_windows(by_example(len(ids), positions), places, extraction)
            for positions in (reduced.teacher, reduced.baseline)
        ]
        divergence = mean_of_window(reduced.divergence.reshape(len(ids), -1), places)
        columns = sides[0].shape[1]
        # All of it comes to the host at once.
        together = torch.cat([*sides, divergence[:, None]], dim=1).cpu().numpy()
        teacher, baseline, kl = np.split(together, (columns, 2 * columns), axis=1)
        return teacher, baseline, kl[:, 0]
