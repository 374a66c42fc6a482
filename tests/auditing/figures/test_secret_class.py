"""Reports count inherited secrets where inheritance is over the set whose text was searched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.auditing.figures.secret_class import class_figures
from pytest_kdmem.metrics.inheritance import compute_inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.secrets.search import SecretSearch
from pytest_kdmem.specs.roles import MODEL_ROLES
from pytest_kdmem.specs.secret_settings import SecretSettings
from tests.auditing.test_build_result import SCORED
from tests.metrics.score_tables import memorization_from, row

Places = dict[str, dict[str, int]]
ROWS = {
    "teacher": [row("a", memorized=True), row("b", memorized=True), row("c")],
    "baseline": [row("a"), row("b", memorized=True), row("c")],
    "student": [row("a", memorized=True), row("b", memorized=True), row("c")],
}


IN_SUFFIX: Places = {"a": {"email": 3}, "b": {"email": 0}, "c": {}}


def searched(
    folder: Path, *, shards: tuple[str, ...] = ("first",), places: Places = IN_SUFFIX
) -> dict[str, Memorization]:
    """What three models recite of a set whose text was searched before, with the places of its secrets."""
    secrets = SecretsOfExamples(SecretSearch(SecretSettings()), ScoreStore(folder / "store"))
    scored = {}
    for role in MODEL_ROLES:
        (folder / role).mkdir(exist_ok=True)
        (folder / role / "tokenizer.json").write_text("{}")
        memorization = replace(memorization_from(ROWS[role], subject=role, shards=shards), secrets=secrets)
        secrets.store.write_entry("secret-classes", secrets._key(memorization.scores), {"places": places})
        scored[role] = memorization
    return scored


def test_inherited_secrets_are_those_of_the_audits_own_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own, elsewhere = searched(tmp_path), searched(tmp_path, shards=("another",))
    scored = replace(SCORED, memorizations=own, inheritance=compute_inheritance(**own))
    inherited = {figure.label: figure.estimate for figure in class_figures(scored) if figure.subject == "inherited"}
    assert (inherited["email"].k, inherited["email"].n) == (1, 3)
    of_another_set = class_figures(replace(scored, inheritance=compute_inheritance(**elsewhere)))
    assert {figure.subject for figure in of_another_set} == set(MODEL_ROLES)


def test_figures_of_what_verdicts_do_not_show_have_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = searched(tmp_path, places=IN_SUFFIX | {"a": {"email": 50}})
    scored = replace(SCORED, memorizations=own, inheritance=compute_inheritance(**own))
    emails = {figure.subject: figure for figure in class_figures(scored) if figure.label == "email"}
    assert {subject: figure.estimate.k for subject, figure in emails.items()} == {
        **dict.fromkeys(MODEL_ROLES, 1),
        "inherited": 0,
    }
    note = "one recited example holds a secret of class email behind the suffix, and verdicts alone were scored"
    assert {subject: figure.note for subject, figure in emails.items()} == {
        "teacher": f"teacher: {note}",
        "baseline": "",
        "student": f"student: {note}",
        "inherited": f"inherited: {note}",
    }
