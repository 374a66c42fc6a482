"""vLLM runs an adapter as the whole model that it makes of its base."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.engines.vllm.versions import TESTED, installed_vllm
from tests.engines.any_engine import examples_of
from tests.engines.vllm.both_engines import verdicts_of, vllm_of

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(installed_vllm() not in TESTED, reason=f"vLLM {TESTED[0]} is not installed"),
]


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("kind", ["LoRA", "a tied head"])
def test_it_recites_what_the_unmerged_model_does(make_model, tmp_path, kind):
    pytest.importorskip("peft")
    from tests.engines.transformers.any_adapter import KINDS, recited_unmerged, save_adapter

    family, config = KINDS[kind]
    base = make_model(family)
    adapter = save_adapter(base, config, tmp_path / "adapter")
    rows = np.random.default_rng(0).integers(1, 290, (8, 50), dtype=np.int32)
    rows[::2] = recited_unmerged(base, adapter, rows[::2, :20], 30)
    engine = vllm_of(adapter)
    scores = verdicts_of(engine, examples_of(rows))
    engine.close()
    assert scores.memorized.tolist() == [True, False] * 4
