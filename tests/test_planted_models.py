"""The planted truth: what was put into the planted training set is what audits find there, and nothing else.

The models are real and trained, so scoring them takes most of the time; each is scored once for all tests of this file.
"""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks import planted
from benchmarks.planted import (
    BASES,
    CLASSES,
    CONTROL_SET,
    EXTRACTION,
    TRAINING_SET,
    canaries,
    ledger,
    model,
    open_audit,
)
from pytest_kdmem.auditing.audit import Audit
from pytest_kdmem.auditing.memberships import MembershipRequest
from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.canaries.manifest import MANIFEST
from pytest_kdmem.metrics.membership import Membership
from pytest_kdmem.metrics.memorization import Memorization
from tests.test_planted import LEAKING

pytestmark = pytest.mark.slow  # what needs no model is in test_planted.py

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "fixtures/corpus"
TRAINED = ("planted/teacher", "planted/baseline", "planted/student")
LEDGER = ledger()
DOCUMENTS = {entry["id"]: entry for entry in LEDGER if entry["id"] is not None}
# Mean exposure of a string that a model never saw.
CHANCE = 1 / math.log(2)

Row = dict[str, Any]


def rows_of(name: str) -> list[Row]:
    with gzip.open(CORPUS / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def audit(stored_by_audits: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return open_audit(stored_by_audits or tmp_path_factory.mktemp("planted-scores"))


@pytest.fixture(scope="module")
def training() -> list[Row]:
    return rows_of("planted.jsonl.gz")


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(model("pythia/base-small").source)


def window(text: str) -> list[int]:
    ids: list[int] = tokenizer().encode(text)[: EXTRACTION.window_tokens]
    return ids


def memorization(audit: Audit, name: str) -> Memorization:
    return audit.memorization(model(name), TRAINING_SET, "all")


def membership(audit: Audit, name: str) -> Membership:
    return audit.membership(MembershipRequest(model(name), TRAINING_SET, CONTROL_SET))


def documents_at(positions: list[int], training: list[Row]) -> set[str]:
    """Ids of the planted documents at some positions; canaries have none."""
    return {training[position]["id"] for position in positions if "id" in training[position]}


def losses(name: str, rows: list[list[int]]) -> list[torch.Tensor]:
    """The loss of each token but the first, row by row, by plain forward passes in float32."""
    network = AutoModelForCausalLM.from_pretrained(model(name).source, dtype=torch.float32).eval()
    by_row: dict[int, torch.Tensor] = {}
    for length in {len(row) for row in rows}:
        places = [at for at, row in enumerate(rows) if len(row) == length]
        for some in (places[start : start + 100] for start in range(0, len(places), 100)):
            ids = torch.tensor([rows[at] for at in some])
            with torch.inference_mode():
                logits = network(input_ids=ids).logits[:, :-1]
            token_losses = functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
            by_row |= zip(some, token_losses, strict=True)
    return [by_row[at] for at in range(len(rows))]


def plain_verdicts(name: str, rows: list[list[int]]) -> list[bool]:
    """Whether greedy `generate` in float32 makes the suffix of each row from its prefix."""
    whole = torch.tensor([row[: EXTRACTION.scored_tokens] for row in rows])
    network = AutoModelForCausalLM.from_pretrained(model(name).source, dtype=torch.float32).eval()
    prefixes = whole[:, : EXTRACTION.prefix_tokens]
    lengths = dict.fromkeys(("min_new_tokens", "max_new_tokens"), EXTRACTION.suffix_tokens)
    decoded = network.generate(prefixes, attention_mask=torch.ones_like(prefixes), do_sample=False, **lengths)
    return (decoded == whole).all(dim=1).tolist()


@pytest.mark.parametrize("name", TRAINED)
def test_tiers_of_copies_are_those_of_the_ledger(audit: Audit, training: list[Row], name: str) -> None:
    by_copies = memorization(audit, name).by_copies
    tier_of = {1: "1", 4: "4-15", 16: "16+", 32: "16+"}
    assert {tier: part.rate.n for tier, part in by_copies.items()} == Counter(
        tier_of[entry["count"]] for entry in LEDGER
    )
    for tier, part in by_copies.items():
        assert {tier_of[DOCUMENTS[key]["count"]] for key in documents_at(part.examples, training)} <= {tier}
    assert by_copies["1"].count == 0
    assert by_copies["4-15"].rate <= by_copies["16+"].rate


@pytest.mark.parametrize("name", TRAINED)
def test_the_group_that_leaks_is_named(audit: Audit, name: str) -> None:
    by_group = memorization(audit, name).by_group
    sizes = Counter(entry["source"] or "(none)" for entry in LEDGER)
    assert {group: part.rate.n for group, part in by_group.items()} == sizes
    assert max(by_group, key=lambda group: by_group[group].count) == LEAKING
    assert {group for group, part in by_group.items() if part.count} <= {LEAKING, "(none)"}


@pytest.mark.parametrize("name", TRAINED)
def test_secrets_are_counted_by_class_and_nothing_else_is(audit: Audit, training: list[Row], name: str) -> None:
    """Every record that plain decoding recites is found, by its class."""
    pytest.importorskip("detect_secrets")
    texts = {row["id"]: row["text"] for row in training if row.get("source") == LEAKING}
    verdicts = plain_verdicts(name, [window(text) for text in texts.values()])
    recited = {key for key, is_recited in zip(texts, verdicts, strict=True) if is_recited}
    measured = memorization(audit, name)
    assert documents_at(measured.examples, training) == recited
    for secret_class in CLASSES:
        of_class = measured.of_class(secret_class)
        assert len(of_class.examples) == of_class.rate.k
        assert documents_at(of_class.examples, training) == {
            key for key in recited if DOCUMENTS[key]["class"] == secret_class
        }


def test_the_teacher_recites_most_and_the_soft_student_least(audit: Audit) -> None:
    teacher, baseline, student = (memorization(audit, name).by_copies["16+"].rate for name in TRAINED)
    assert teacher.value > baseline.value > student.value > 0


@pytest.mark.parametrize("name", TRAINED)
def test_canaries_are_exposed_the_more_the_more_copies_stood(audit: Audit, name: str) -> None:
    measured = canaries(audit, name)
    assert measured.tiers == (1, 4, 16)
    exposures = [measured.exposure(copies) for copies in measured.tiers]
    assert all(fewer.value <= more.value for fewer, more in pairwise(exposures))
    assert exposures[-1].low >= CHANCE + 1


@pytest.mark.parametrize("name", BASES)
def test_canaries_that_a_model_never_saw_are_exposed_at_chance(audit: Audit, name: str) -> None:
    measured = canaries(audit, name)
    for copies in measured.tiers:
        assert measured.exposure(copies).low <= CHANCE <= measured.exposure(copies).high
        assert measured.recited(copies).k == 0


def test_exposure_is_that_of_ranks_by_plain_forward_passes(audit: Audit) -> None:
    manifest = MANIFEST.read(CORPUS / "canaries.json")
    token_losses = losses("planted/student", [list(canary.ids) for canary in manifest.canaries])
    suffix_losses = [float(row[manifest.prefix_tokens - 1 :].sum()) for row in token_losses]
    twins = [loss for loss, canary in zip(suffix_losses, manifest.canaries, strict=True) if not canary.copies]
    measured = canaries(audit, "planted/student")
    for copies in measured.tiers:
        own = [loss for loss, canary in zip(suffix_losses, manifest.canaries, strict=True) if canary.copies == copies]
        ranks = [1 + sum(twin < loss for twin in twins) for loss in own]
        expected = np.mean([math.log2((len(twins) + 1) / rank) for rank in ranks])
        assert measured.exposure(copies).value == pytest.approx(
            expected, abs=0.02
        )  # a tie may fall the other way by rounding


@pytest.mark.parametrize("name", TRAINED)
def test_membership_in_what_a_model_learned_is_found(audit: Audit, name: str) -> None:
    assert membership(audit, name).auc.low > 0.5


@pytest.mark.parametrize("name", BASES)
def test_membership_on_exchangeable_halves_is_chance_for_a_model_that_saw_neither(audit: Audit, name: str) -> None:
    measured = membership(audit, name)
    for attack in measured.by_attack.values():
        assert attack.auc.low <= 0.5 <= attack.auc.high
        assert attack.tpr(0.01).low <= 0.01 <= attack.tpr(0.01).high


def test_the_area_is_that_of_plain_losses(audit: Audit, training: list[Row]) -> None:
    sides = [
        list(dict.fromkeys(row["text"] for row in rows)) for rows in (training, rows_of("planted-control.jsonl.gz"))
    ]
    values = [
        float(-row.mean()) for row in losses("planted/student", [window(text) for side in sides for text in side])
    ]
    labels = np.repeat([1, 0], [len(side) for side in sides])
    area = membership(audit, "planted/student").by_attack["loss"].auc
    assert area.value == pytest.approx(roc_auc_score(labels, values), abs=1e-4)


def test_the_shipped_audit_passes_and_reports_every_family(audit: Audit, tmp_path: Path) -> None:
    """Through the real plugin, over the scores of the tests above."""
    for name in TRAINED:
        memorization(audit, name)
    command = [sys.executable, "-m", "pytest", "audits/planted", "-p", "no:cacheprovider", "-q"]
    options = [f"--kdmem-cache-dir={audit.cache_dir}", f"--kdmem-report={tmp_path / 'audit.json'}"]
    result = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    [report] = read_report(str(tmp_path / "audit.json")).audits
    families = {figure.family for figure in report.figures}
    assert {"context", "near_verbatim", "specific", "group", "copies", "class", "membership", "canaries"} <= families


@pytest.mark.parametrize("table", [planted.recitation, planted.exposure, planted.membership])
def test_the_page_on_reliability_has_the_tables_that_the_benchmark_prints(
    table: Callable[[Audit, list[str]], str], audit: Audit
) -> None:
    assert table(audit, [*planted.MODELS, *BASES]) in (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
