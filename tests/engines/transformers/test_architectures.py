"""Every causal language model of transformers, tiny: an audit gives the verdicts of plain decoding, or a sentence."""

from __future__ import annotations

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from benchmarks.architectures import audit_architecture

QUICK = ("bert", "gpt2")


@pytest.mark.parametrize("model_type", QUICK)
def test_verdicts_are_those_of_plain_decoding_or_the_class_is_refused(model_type):
    outcome = audit_architecture(model_type)
    assert outcome.result == ("refused" if model_type == "bert" else "agrees"), outcome.reason


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - set(QUICK)))
def test_no_architecture_gets_a_wrong_verdict_or_ends_in_a_traceback(model_type):
    outcome = audit_architecture(model_type)
    assert outcome.result in ("agrees", "refused", "not built"), outcome.reason
    assert "\n" not in outcome.reason
