"""A model's run card is kept if it is trusted, and compared with each of the model's roles."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.auditing.run_cards import RunCards
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.run_card import FILE_NAME, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.metrics.score_tables import memorization_from, row
from tests.specs.any_card import card


@pytest.fixture
def memorization(tiny: Path, tmp_path: Path) -> Memorization:
    """Of a model in a folder of this test's own."""
    model = Model(str(shutil.copytree(tiny, tmp_path / "model")))
    scored = memorization_from([row("a")])
    return replace(scored, scores=replace(scored.scores, model=model, checkpoint=open_checkpoint(model)))


def test_a_model_without_a_card_gives_no_warning(memorization: Memorization) -> None:
    cards = RunCards(Extraction(), offline=True)
    assert cards.read(memorization, ["student"], {}, None) == []
    assert cards.cards == {memorization.scores.model: None}
    assert cards.warnings(memorization, "baseline", "x", None) == []


def test_a_card_is_compared_with_every_role(memorization: Memorization) -> None:
    made = card(weights=weights_digest(memorization.scores.checkpoint.folder))
    write_run_card(made, memorization.scores.checkpoint.folder)
    cards = RunCards(Extraction(), True, {"student:teacher", "baseline:teacher", "baseline:role"})
    # It was distilled, and not from itself.
    warnings = cards.read(memorization, ["student", "baseline"], {"teacher": memorization.scores.model}, None)
    assert cards.cards[memorization.scores.model] == made
    assert sum("was distilled from teacher" in warning for warning in warnings) == 2
    assert sum("according to its run card" in warning and "was distilled" in warning for warning in warnings) == 1
    with pytest.raises(SpecError, match="accept-provenance=student:teacher"):
        RunCards(Extraction(), offline=True).read(
            memorization, ["student"], {"teacher": memorization.scores.model}, None
        )


def test_a_card_of_other_weights_is_not_kept(memorization: Memorization) -> None:
    write_run_card(card(), memorization.scores.checkpoint.folder)
    cards = RunCards(Extraction(), True, {"student:weights", "teacher:weights"})
    # In both roles it is the same sentence, which an audit tells once.
    warnings = cards.read(memorization, ["student", "teacher"], {}, None)
    assert set(warnings) == {"run card of student belongs to other weights"}
    assert cards.cards == {memorization.scores.model: None}
    assert cards.differences == {"student:weights", "teacher:weights"}


@pytest.mark.parametrize("accepted", [(), {"teacher:weights"}, {"student:role", "teacher:weights"}])
def test_a_card_of_other_weights_stops_an_audit_unless_it_is_accepted_in_each_role(
    memorization: Memorization, accepted: Collection[str]
) -> None:
    write_run_card(card(), memorization.scores.checkpoint.folder)
    where = memorization.scores.checkpoint.folder / FILE_NAME
    cards = RunCards(Extraction(), True, accepted)
    with pytest.raises(SpecError, match=r"belongs to other weights.*accept-provenance=student:weights\.$") as error:
        cards.read(memorization, ["teacher", "student"] if accepted else ["student"], {}, None)
    assert str(where) in str(error.value)


def test_a_student_that_is_the_start_of_another_model_is_refused(memorization: Memorization, tmp_path: Path) -> None:
    start = memorization.scores.checkpoint
    baseline = Model(str(shutil.copytree(start.folder, tmp_path / "baseline")))
    origin = replace(card().init, digest=start.digest)
    write_run_card(card(weights=weights_digest(start.folder), init=origin), Path(baseline.source))
    declared = {"student": memorization.scores.model, "baseline": baseline}
    with pytest.raises(
        SpecError, match=r"the student is the model that the training of baseline began with.*=student:"
    ):
        RunCards(Extraction(), offline=True).read(memorization, ["student"], declared, None)
    accepting = RunCards(Extraction(), True, {"student:role"})
    assert "was not trained on this training set" in accepting.read(memorization, ["student"], declared, None)[0]
    assert RunCards(Extraction(), offline=True).read(memorization, ["another"], declared, None) == []
