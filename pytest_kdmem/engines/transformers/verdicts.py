"""Scores verdicts alone: most examples miss within a few tokens, and are scored no further."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import Scores, ignore_progress, verdict_scores
from pytest_kdmem.engines.transformers.batches import Batches, rows_by_length
from pytest_kdmem.engines.transformers.padded_ids import PaddedIds
from pytest_kdmem.engines.transformers.passes import ForwardPasses, starts_of
from pytest_kdmem.engines.transformers.windows import Rows, summarize_margins
from pytest_kdmem.specs.declared import Extraction

# Suffix tokens of the first pass over verdicts: most examples miss within these, and are scored no further.
FIRST_TOKENS = 4


def score_verdicts(
    passes: ForwardPasses,
    batches: Batches,
    examples: Sequence[Example],
    extraction: Extraction,
    *,
    tolerance: float,
    sure_miss: float,
    advance: Callable[[int], None],
) -> Scores:
    """Compute verdicts: a short pass finds the sure misses, and only the others are scored to the suffix's end.

    Args:
        passes: Passes of the model.
        batches: Divides the examples into batches.
        examples: Examples of at least prefix and suffix tokens.
        extraction: Lengths of prefix and suffix.
        tolerance: Half the width of the ambiguous band, in logits.
        sure_miss: Examples are scored no further than a margin below the negative of this, in logits.
        advance: Receives the number of examples done, every few examples.
    """
    margin = np.full(len(examples), np.nan, dtype=np.float32)
    misses = np.full(len(examples), -1, dtype=np.int16)

    def score_suffix(rows: Rows, suffix_tokens: int, advance: Callable[[int], None]) -> None:
        of_rows = [examples[row] for row in rows]
        starts = starts_of(of_rows, extraction)
        ends = [example.start(extraction) + suffix_tokens for example in of_rows]
        cut = [example.ids[:end] for example, end in zip(of_rows, ends, strict=True)]
        ids = PaddedIds(cut, passes.device, starts=starts)

        def score_batch(batch: slice) -> None:
            of_batch = rows[batch]
            batch_starts = ids.places(batch).starts
            if batch_starts is None:
                margins = passes.margins(ids.batch(batch), extraction.prefix_tokens)
            else:
                margins = passes.suffix_margins(ids.batch(batch), batch_starts, suffix_tokens)
            summaries = summarize_margins(margins).cpu().numpy()
            passes.check_finite(summaries[:, 2] != 0, [examples[row] for row in of_batch])
            margin[of_batch], misses[of_batch] = summaries[:, 0], summaries[:, 1]

        batches.run(len(rows), score_batch, advance)

    # Examples that differ in length are ordered by it, so that batches hold the least padding.
    rows = np.arange(len(examples)) if starts_of(examples, extraction) is None else rows_by_length(examples)
    if extraction.suffix_tokens > FIRST_TOKENS and sure_miss < math.inf:
        score_suffix(rows, FIRST_TOKENS, advance)
        sure_misses = margin < -sure_miss
        margin[sure_misses] = np.nan  # the least margin over the whole suffix stays unknown
        rows = rows[~sure_misses[rows]]
        advance = ignore_progress  # the remaining examples were counted in the first pass
    score_suffix(rows, extraction.suffix_tokens, advance)
    return verdict_scores(margin, misses, tolerance)
