"""What attacks take from the columns of a score table, against a loop over its rows."""

from __future__ import annotations

import math

import pytest

from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.metrics.attacks import ATTACKS, absence, attack_values, check_attack
from tests.metrics.score_tables import memorization_from, row, too_short

ROWS = [row(str(at), nll=1.0 + at, zlib_bytes=100 + at, min_k=-3.0 - at, min_k_plus=-1.0 + at / 8) for at in range(4)]


def test_each_attack_is_its_formula_for_each_distinct_example() -> None:
    scored = memorization_from([*ROWS[:2], too_short("short"), *ROWS[2:], ROWS[0]])
    reference = memorization_from([*({**entry, "nll": 5.0} for entry in ROWS)], subject="base")
    expected = {
        "loss": [-entry["nll"] for entry in ROWS],
        "zlib": [-entry["nll"] / entry["zlib_bytes"] for entry in ROWS],
        "min_k": [entry["min_k"] for entry in ROWS],
        "min_k_plus": [entry["min_k_plus"] for entry in ROWS],
        "calibrated": [5.0 - entry["nll"] for entry in ROWS],
    }
    assert tuple(expected) == ATTACKS
    for name in ATTACKS:
        assert attack_values(name, scored, reference) == pytest.approx(expected[name])


def test_token_ids_without_a_text_have_no_zlib_ratio() -> None:
    ids = memorization_from([{key: value for key, value in entry.items() if key != "zlib_bytes"} for entry in ROWS])
    assert absence("loss", ids, None) == ""
    with pytest.raises(SpecError, match=r"no tokenizer lies beside the model, so train\.jsonl has no text to compress"):
        attack_values("zlib", ids, None)


def test_what_was_not_scored_and_what_is_not_finite_is_told() -> None:
    verdicts = memorization_from([row("a"), row("b")])
    with pytest.raises(SpecError, match="nll was not scored for every example"):
        attack_values("loss", verdicts, None)
    with pytest.raises(SpecError, match=r"pass reference=Model"):
        attack_values("calibrated", memorization_from(ROWS), None)
    with pytest.raises(DataError, match="1 of 2 are not"):
        attack_values("loss", memorization_from([row("a", nll=math.inf), row("b", nll=1.0)]), None)
    with pytest.raises(SpecError, match="one of loss, zlib, min_k, min_k_plus, calibrated"):
        check_attack("likelihood")
