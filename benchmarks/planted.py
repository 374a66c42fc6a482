"""What audits find of what was planted in `fixtures/corpus/planted.jsonl.gz`: `python benchmarks/planted.py`.

Prints tables of recited documents by copies, by source and by class of secrets beside what the ledger holds, of the
exposure of canaries, and of membership, for the planted models and for the base models, which saw none of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from pytest_kdmem.api.settings import setting_values
from pytest_kdmem.auditing.audit import Audit
from pytest_kdmem.auditing.memberships import MembershipRequest
from pytest_kdmem.auditing.opening import audit_by_settings
from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.canaries.audit import audit_canaries
from pytest_kdmem.canaries.manifest import MANIFEST
from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
TRAINING_SET = TrainingSet(str(FIXTURES / "corpus/planted.jsonl.gz"), group_column="source")
CONTROL_SET = TrainingSet(str(FIXTURES / "corpus/planted-control.jsonl.gz"))
MODELS = ("planted/teacher", "planted/baseline", "planted/student")
BASES = {"pythia/base-large": "planted/teacher", "pythia/base-small": "planted/baseline"}
CLASSES = ("email", "phone", "card", "key")
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)


def model(name: str) -> Model:
    return Model(str(FIXTURES / "models" / name))


def open_audit(cache: Path) -> Audit:
    """An audit over the planted training set and its control set."""
    audit = audit_by_settings(
        setting_values({"window_tokens": EXTRACTION.window_tokens}), "planted", "", cache, NO_PROGRESS
    )
    audit.training_set, audit.control_set = TRAINING_SET, CONTROL_SET
    return audit


def canaries(audit: Audit, name: str) -> MeasuredCanaries:
    return audit_canaries(
        MANIFEST.read(FIXTURES / "corpus/canaries.json"),
        model(name),
        TRAINING_SET,
        EXTRACTION,
        audit.store,
        settings=RunSettings(engine="transformers"),
    )


def ledger() -> list[dict[str, Any]]:
    lines = (FIXTURES / "corpus/planted-ledger.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def counts_by(key: str) -> Counter[str]:
    return Counter(str(entry[key]) for entry in ledger() if entry[key] is not None)


def with_bounds(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def recitation(audit: Audit, names: list[str]) -> str:
    """Recited of planted documents, by copies, source and class."""
    memorizations = {name: audit.memorization(model(name), TRAINING_SET, "all") for name in names}
    [first, *_] = memorizations.values()
    rows = [
        [
            "1 copy" if tier == "1" else f"{tier} copies",
            *(f"{part.by_copies[tier].count} of {part.by_copies[tier].rate.n}" for part in memorizations.values()),
        ]
        for tier in first.by_copies
    ]
    rows += [
        [
            f"source {group}",
            *(f"{part.by_group[group].count} of {part.by_group[group].rate.n}" for part in memorizations.values()),
        ]
        for group in first.by_group
    ]
    planted = counts_by("class")
    rows += [
        [f"class {name}", *(f"{part.of_class(name).count} of {planted[name]}" for part in memorizations.values())]
        for name in CLASSES
    ]
    return table(["recited", *(name.split("/")[1] for name in names)], rows)


def exposure(audit: Audit, names: list[str]) -> str:
    audited = {name: canaries(audit, name) for name in names}
    rows = [
        [
            name.split("/")[1],
            *(with_bounds(result.exposure(copies)) for copies in result.tiers),
            *(f"{result.recited(copies).k} of {result.recited(copies).n}" for copies in result.tiers),
        ]
        for name, result in audited.items()
    ]
    tiers = next(iter(audited.values())).tiers
    return table(
        ["exposure in bits", *(f"{copies} ×" for copies in tiers), *(f"recited, {copies} ×" for copies in tiers)], rows
    )


def membership(audit: Audit, names: list[str]) -> str:
    rows = []
    for name in names:
        measured = audit.membership(MembershipRequest(model(name), TRAINING_SET, CONTROL_SET))
        rows.append([name.split("/")[1], with_bounds(measured.auc), f"{measured.tpr(0.01)}"])
    return table(["membership", "AUC of the strongest attack", "TPR at 1 % FPR"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache-dir", type=Path, help="Folder of scores (default: a temporary one).")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        audit = open_audit(options.cache_dir or Path(scratch))
        names = [name for name in (*MODELS, *BASES) if (FIXTURES / "models" / name).is_dir()]
        for tables in (recitation, exposure, membership):
            print(tables(audit, names), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
