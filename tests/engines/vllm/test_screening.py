"""What vLLM screens in half precision, the transformers engine decides."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.engines.load import open_engine
from pytest_kdmem.engines.vllm.versions import TESTED, installed_vllm
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings
from tests.engines.vllm.both_engines import numerics, shipped_examples, transformers_of, verdicts_of

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(installed_vllm() not in TESTED, reason=f"vLLM {TESTED[0]} is not installed"),
]


@pytest.mark.usefixtures("forked")
def test_verdicts_are_those_of_float32(shipped):
    folder, extraction = shipped / "models/pythia/teacher", Extraction(50, 50, 128)
    examples = shipped_examples(shipped, folder, 400, extraction)
    model = Model(str(folder))
    in_two = replace(numerics(), screen="bfloat16")
    with closing(open_engine(model, open_checkpoint(model), in_two, extraction, RunSettings())) as engine:
        scores = verdicts_of(engine, examples, extraction)
    exact = verdicts_of(transformers_of(folder), examples, extraction)
    np.testing.assert_array_equal(scores.memorized, exact.memorized)
    assert scores.screening.screened == len(examples)
    assert 0 < scores.screening.decided < len(examples) / 4
    assert scores.tolerance == exact.tolerance
