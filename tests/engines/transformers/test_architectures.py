"""Every causal language model of transformers, tiny: an audit gives the verdicts of plain decoding, or a sentence."""

from __future__ import annotations

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from benchmarks.architectures import audit_architecture


def test_a_class_with_a_head_of_its_own_kind_is_refused():
    outcome = audit_architecture("bert")
    assert outcome.result == "refused"
    assert "standard language-model head was expected of BertLMHeadModel" in outcome.reason


# `python benchmarks/architectures.py` takes them all.
@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)[::8])
def test_no_architecture_gets_a_wrong_verdict_or_ends_in_a_traceback(model_type):
    outcome = audit_architecture(model_type)
    assert outcome.result in ("agrees", "refused", "not built"), outcome.reason
    assert "\n" not in outcome.reason
