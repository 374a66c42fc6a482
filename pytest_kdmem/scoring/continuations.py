"""Continues the prefixes of single examples by greedy decoding, as the model that gave a table's verdicts does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.load import ModelToLoad, device_to_itself, open_decider, open_engine
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.runtime import RunSettings


def continuations(scores: ScoreTable, examples: Sequence[Example], settings: RunSettings) -> list[TokenIds]:
    """Continue each example's prefix by as many tokens as a suffix has.

    The engine, the device and the dtype are those that decided the table's verdicts, in this process under the executor
    ``ray``, too. Nothing of this is stored.

    Args:
        scores: Table of the model.
        examples: Examples of at least prefix and suffix tokens.
        settings: How the model was run.

    Returns:
        Token ids ``[suffix tokens]`` of each example.

    Raises:
        EngineError: The model cannot be loaded, or its files are no longer those that were scored.
    """
    if not examples:
        return []
    numerics, extraction = scores.numerics, scores.extraction
    with device_to_itself(numerics.device):
        if numerics.screen is None:
            engine = open_engine(scores.model, scores.checkpoint, numerics, extraction, settings)
        else:  # the dtype that screens decides nothing
            engine = open_decider(ModelToLoad(scores.model, scores.checkpoint, numerics), settings)
        with closing(engine):
            prefixes = [example.ids[: example.start(extraction)] for example in examples]
            return engine.decode(prefixes, extraction.suffix_tokens)
