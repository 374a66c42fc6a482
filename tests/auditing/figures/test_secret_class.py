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

ROWS = {
    "teacher": [row("a", memorized=True), row("b", memorized=True), row("c")],
    "baseline": [row("a"), row("b", memorized=True), row("c")],
    "student": [row("a", memorized=True), row("b", memorized=True), row("c")],
}


def searched(folder: Path, *, shards: tuple[str, ...] = ("first",)) -> dict[str, Memorization]:
    """What three models recite of a set whose text was searched before."""
    secrets = SecretsOfExamples(SecretSearch(SecretSettings()), ScoreStore(folder / "store"))
    scored = {}
    for role in MODEL_ROLES:
        (folder / role).mkdir(exist_ok=True)
        (folder / role / "tokenizer.json").write_text("{}")
        memorization = replace(memorization_from(ROWS[role], subject=role, shards=shards), secrets=secrets)
        classes = {"a": ["email"], "b": ["email"], "c": []}
        secrets.store.write_entry("secret-classes", secrets._key(memorization.scores), {"classes": classes})
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
