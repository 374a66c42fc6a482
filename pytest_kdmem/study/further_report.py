"""Study → questions.json and questions.md: what exact, greedy recitation of D does not show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_kdmem.study.findings import (
    absent,
    canaries,
    context,
    copies,
    membership,
    near,
    on_policy,
    sampling,
    secrets,
    specific,
)
from pytest_kdmem.study.findings.direction import RULE
from pytest_kdmem.study.record import Study
from pytest_kdmem.study.report import Finding, cell, data_of, models_of, sections, to_json

QUESTIONS = (
    Finding("context", "How much context it takes", context.context, context.rows),
    Finding("near", "Nearly verbatim", near.near, near.rows),
    Finding("sampling", "Within a hundred samples", sampling.sampling, sampling.rows),
    Finding("copies", "By the number of copies", copies.by_copies, copies.rows),
    Finding("membership", "Membership", membership.membership, membership.rows),
    Finding("canaries", "Canaries", canaries.canaries, canaries.rows),
    Finding("secrets", "Classes of secrets", secrets.secrets, secrets.rows),
    Finding("specific", "Specific, or merely predictable", specific.specific, specific.rows),
    Finding("absent", "Absent from the student's data", absent.absent, absent.rows),
    Finding("on_policy", "On-policy students", on_policy.on_policy, on_policy.rows),
)
PUBLISHED = "studies named in docs/study.md"

LEGEND = (
    "Over distinct examples of D that are long enough. *Measured* is the mean ± sample standard deviation over n seeds;"
    " *by seed* has the counts behind it. T, B and S are what teacher, baseline and the student of the row recite; ∖ is"
    " “without”. *Recited from n tokens*: the first n tokens give the next ones, so every length has another suffix."
    " *Extractable*: so many samples contain the suffix with at least this probability. *Specific*: recited, and not"
    " after prefixes of three other examples. Attacks on membership: the area under the curve is 0.5 by chance, the"
    " true positive rate 1 %; controls are pieces of text that was drawn as D was and that no model was trained on; the"
    " calibrated attack knows the model that training started from. *Canaries* are random strings that were put into a"
    " D of their own, on which these models were trained; a model that never saw them shows an exposure of 1.44 bits on"
    " average. Directions are published ones, or those of the study for its students; “undefined” is a figure of no"
    " examples."
)


def write_questions(study: Study, out: Path) -> tuple[Path, ...]:
    """Write questions.json and questions.md; the paths, or none if the study has nothing for them.

    Raises:
        DataError: answers are not over the same examples, or scores are missing.
    """
    results = {finding.key: finding.find(study) for finding in QUESTIONS}
    if not any(results.values()):
        return ()
    out.mkdir(parents=True, exist_ok=True)
    figures, tables = out / "questions.json", out / "questions.md"
    document = to_json(study, results, QUESTIONS, PUBLISHED)
    content = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    figures.write_text(content + "\n", encoding="utf-8")
    tables.write_text(to_markdown(study, results), encoding="utf-8")
    return figures, tables


def to_markdown(study: Study, results: dict[str, Any]) -> str:
    """A heading and a table for each question; “not run” where the study has nothing for it."""
    blocks = [f"# Further questions: study {cell(study.name)}", LEGEND, f"**Direction.** {RULE}"]
    blocks += [data_of(study), "## Models", models_of(study), *sections(results, QUESTIONS)]
    return "\n\n".join(blocks) + "\n"
