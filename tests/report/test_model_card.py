"""Hubs read an audit's results from a model card, and everything else in the card stays as it was."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.report.model_card import KEY, index_results, insert_results, read_card, select_audit
from tests.report.any_report import TEXT
from tests.report.audits import each_saved_report, full_audit, rate, saved_report

CARD = """\
---
# what this is
license: 'mit'   # as upstream
tags: [a,   b]
model-index:
  - name: "my model"
    results:
      - task: {type: text-generation}
        dataset: {name: Wiki, type: wikitext}
        metrics:
          - {type: perplexity, value: 12.50, name: ppl}
        source: {name: Someone, url: "https://example.org"}

# languages, in order
language:
- en
- "no"
---
# Title

---
model-index: of the text
"""


def read_results(text: str) -> list[EvalResult]:
    """All results of a card, as huggingface_hub reads them."""
    results = ModelCard(text).data.eval_results
    assert isinstance(results, list)
    return results


def ours(text: str) -> dict[str, EvalResult]:
    """Our results of a card, by metric."""
    return {result.metric_type: result for result in read_results(text) if result.source_name == "pytest-kdmem"}


def front_matter(text: str) -> dict[str, Any]:
    match = REGEX_YAML_BLOCK.search(text.removeprefix("\ufeff"))
    assert match is not None
    content: dict[str, Any] = yaml.safe_load(match[2])
    return content


def test_hubs_read_the_estimates_of_the_audit() -> None:
    audit = full_audit()
    results = ours(insert_results("# Title\n", audit))
    assert audit.inheritance is not None
    assert audit.risk is not None
    estimates = {
        "memorization_rate": audit.memorization["student"],
        "inheritance_ratio": audit.inheritance.ratio,
        "reduction": audit.inheritance.reduction,
        "share_at_risk": audit.risk.share_at_risk,
        "loss": audit.held_out["student"].loss,
    }
    assert results.keys() == estimates.keys()
    for kind, estimate in estimates.items():
        result = results[kind]
        assert result.metric_value == estimate.value
        assert result.metric_args is not None
        assert (result.metric_args["low"], result.metric_args["high"]) == (estimate.low, estimate.high)
        assert (result.metric_args.get("k"), result.metric_args["n"]) == (estimate.k, estimate.n)
        assert result.task_type == "text-generation"
        assert result.metric_name
        data = "control.jsonl" if kind == "loss" else "train.jsonl"
        assert (result.dataset_name, result.dataset_type) == (data, data)


def test_hubs_write_the_same_results() -> None:
    model = {"name": "m", "results": index_results(full_audit())}
    _, results = model_index_to_eval_results([model])
    assert eval_results_to_model_index("m", results) == [model]


def test_metrics_that_were_not_measured_are_left_out() -> None:
    audit = full_audit(memorization={"student": rate(0, 0)}, risk=None, held_out={})
    assert ours(insert_results("", audit)).keys() == {"inheritance_ratio", "reduction"}
    assert audit.inheritance is not None
    endless = replace(audit.inheritance.reduction, value=math.inf, high=math.inf)
    text = insert_results("", replace(audit, inheritance=replace(audit.inheritance, reduction=endless)))
    assert ours(text)["reduction"].metric_value == "inf"
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_if_only_another_model_was_audited_the_results_are_that_model_s() -> None:
    audit = full_audit(memorization={"teacher": rate(67, 1000, "teacher")}, held_out={}, risk=None)
    text = insert_results("", audit)
    assert ours(text).keys() == {"memorization_rate"}
    assert front_matter(text)[KEY][0]["name"] == "teacher"


@pytest.mark.parametrize("audit", [AuditResult("2026", {}, {}), full_audit(training_set=None, control_set=None)])
def test_an_audit_that_measured_nothing_is_refused(audit: AuditResult) -> None:
    with pytest.raises(DataError, match="A measured figure of the student was expected"):
        insert_results("", audit)


def test_everything_but_the_index_stays_byte_by_byte() -> None:
    text = insert_results(CARD, full_audit())
    before, _, rest = CARD.partition("model-index:\n")
    after = "\n# languages" + rest.partition("\n# languages")[2]
    assert text.startswith(before)
    assert text.endswith(after)
    assert front_matter(text)[KEY][0]["results"][:1] == front_matter(CARD)[KEY][0]["results"]
    assert front_matter(text)[KEY][0]["name"] == "my model"
    assert len(read_results(text)) == 6


# Cards of every form. Text between ⟨ and ⟩ is replaced, and everything else stays.
FOREIGN_RESULT = "{task: {type: t}, dataset: {name: d, type: d}, metrics: []}"
FORMS = {
    "nothing": "⟨⟩",
    "no front matter": "⟨⟩# Title\n",
    "no line break": "⟨⟩Title",
    "blank lines": "⟨⟩\n\n# Title\n",
    "a rule further down": "⟨⟩# Title\n\n---\nmodel-index: x\n---\n",
    "no end": "⟨⟩---\nlicense: mit\n",
    "no beginning": "⟨⟩--- x\n---\n",
    "an empty one": "---\n⟨⟩---\n# Title\n",
    "a blank line in it": "---\n\n⟨⟩---\n",
    "a comment in it": "---\n# none\n⟨⟩---\n",
    "no index": "---\nlicense: mit\n⟨⟩---\n# Title\n",
    "ends at once": "---\nlicense: mit\n⟨⟩---",
    "blanks after dashes": "---\nlicense: mit\n⟨⟩--- \t\n# Title\n",
    "blank lines before": "\n\n---\nlicense: mit\n⟨⟩---\n",
    "an index of nothing": "---\n⟨model-index:\n⟩---\nx",
    "an empty index": "---\n⟨model-index: []  # none yet\n⟩tags: [a]\n---\n",
    "a comment for an index": "---\n⟨model-index: # none yet\n⟩# more\nlicense: mit\n---\n",
    "quoted": "---\nlicense: 'mit'\n⟨\"model-index\": null\n⟩\n# more\ntags: [a,   b]\n---\n",
    "indented": "---\n  license: mit\n  tags:\n  - a\n⟨⟩---\n",
    "indented, with an index": "---\n  license: mit\n⟨  model-index: []\n⟩  tags:\n  - a\n---\n",
    "a text that keeps its end": "---\ntext: |+\n  kept\n\n\n⟨⟩---\n",
    "no number": "---\nn: .nan\n⟨⟩---\n",
    "blank lines after": "---\n⟨model-index:\n- name: m\n  results: []\n⟩\n\n# more\nlicense: mit\n---\n",
    "a text at the end": (
        "---\n⟨model-index:\n- name: m\n  results:\n  - task: {type: t}\n    dataset: {name: d, type: d}\n"
        "    metrics:\n    - type: ppl\n      value: |\n        a\n        b\n⟩\n\nlicense: mit\n---\n"
    ),
    "in brackets": f"---\ntags: [x]\n⟨model-index: [{{name: m, results: [{FOREIGN_RESULT}]}}] # b\n⟩z: 'é'\n---\n",
    "at the end": "---\nlicense: mit\n⟨model-index:\n- name: m\n  results: [\n  ]\n⟩---\n",
    "all of it": CARD.replace("model-index:\n  -", "⟨model-index:\n  -").replace('org"}\n', 'org"}\n⟩'),
}


@pytest.mark.parametrize("line_break", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "BOM"])
@pytest.mark.parametrize("form", FORMS)
def test_a_card_of_any_form_keeps_its_other_content(form: str, mark: str, line_break: str) -> None:
    text = mark + FORMS[form].replace("\n", line_break)
    before, kept = re.sub("[⟨⟩]", "", text), re.split("⟨.*?⟩", text, flags=re.DOTALL)
    after = insert_results(before, full_audit())
    assert len(ours(after.removeprefix("\ufeff"))) == 5
    assert insert_results(after, full_audit()) == after
    assert after.startswith(kept[0])
    assert after.endswith(kept[-1])
    if line_break in before:
        assert "\n" not in after.replace(line_break, "")
    added = after.removeprefix(kept[0]).removesuffix(kept[-1]).lstrip()
    assert added.startswith("model-index:" if kept[0] != mark else "---")
    assert added.count("---") == (0 if kept[0] != mark else 2)
    has_foreign_result = any(text in before for text in (FOREIGN_RESULT, "type: ppl", "perplexity"))
    assert len(front_matter(after)[KEY][0]["results"]) == 2 + has_foreign_result


def test_results_of_an_earlier_audit_are_replaced() -> None:
    first = insert_results(CARD, full_audit())
    second = insert_results(first, full_audit(memorization={"student": rate(3, 1000)}, name="audits/b"))
    assert ours(second)["memorization_rate"].metric_value == 0.003
    assert len(read_results(second)) == 6
    assert insert_results(second, full_audit()) == first


def test_earlier_results_are_removed_from_every_model_of_the_index() -> None:
    index = [{"name": "a", "results": [{"x": 1}]}, {"name": "b", "results": [*index_results(full_audit()), {"y": 2}]}]
    text = f"---\n{yaml.safe_dump({KEY: index})}---\n"
    updated = front_matter(insert_results(text, full_audit(risk=None)))[KEY]
    assert [len(model["results"]) for model in updated] == [3, 1]
    assert updated[1]["results"] == [{"y": 2}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\na: [\n---\n", "in YAML"),
        ("---\na: \x01\n---\n", "in YAML"),
        ("---\na: b: c\n---\n", "in YAML"),
        ("---\n- a\n---\n", "lines `key: value`"),
        ("---\njust text\n---\n", "lines `key: value`"),
        ("---\n{a: 1}\n---\n", "lines `key: value`"),
        ("---\nmodel-index: 3\n---\n", "named models"),
        ("---\nmodel-index: {name: a, results: []}\n---\n", "named models"),
        ("---\nmodel-index: [a]\n---\n", "named models"),
        ("---\nmodel-index: [{name: a}]\n---\n", "named models"),
        ("---\nmodel-index: [{results: []}]\n---\n", "named models"),
        ("---\nmodel-index: []\nmodel-index: []\n---\n", "found 2"),
        ("---\nm: &m [{name: a, results: []}]\nmodel-index: *m\n---\n", "without changing more"),
        ("---\nmodel-index:\n- name: &n a\n  results: []\nb: *n\n---\n", "without changing more"),
        ("---\n? model-index\n: - {name: a, results: []}\n---\n", "without changing more"),
        ("---\nbase: &b\n  model-index: [{name: a, results: [{x: 1}]}]\n<<: *b\n---\n", "without changing more"),
        ("---\na: 1\n...\n---\n", "without changing more"),
        ("---\n" + "a: " + "[" * 3000 + "\n---\n", "in YAML"),
    ],
)
def test_a_card_that_cannot_be_updated_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        insert_results(text, full_audit())
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@given(TEXT, TEXT, TEXT)
@settings(max_examples=50)
def test_no_name_breaks_the_card(model: str, source: str, digest: str) -> None:
    audit = full_audit()
    assert audit.training_set is not None
    hostile = replace(
        audit,
        models={"student": replace(audit.models["student"], source=model)},
        training_set=replace(audit.training_set, source=source, digest=digest),
    )
    text = insert_results("# Title\n", hostile)
    text.encode()
    assert len(ours(text)) == 5
    assert text.endswith("---\n# Title\n")
    assert insert_results(text, hostile) == text


PARTS = (
    "---\n", "a: 1\n", "model-index:\n", "- name: x\n", "  results: []\n", "# c\n", "\n", "x", " ", "...\n",
    "b: |\n  t\n",    "- a\n", "'", "{", "&a", "*a", "\r\n", "\t",
)  # fmt: skip


@given(st.lists(st.sampled_from(PARTS), max_size=9).map("".join))
@settings(max_examples=100)
def test_any_card_is_updated_or_refused(text: str) -> None:
    try:
        after = insert_results(text, full_audit())
    except DataError:
        return
    assert len(ours(after)) == 5
    assert insert_results(after, full_audit()) == after


@pytest.mark.parametrize(
    "path", ["/home/someone/secret/student", "C:\\Users\\someone\\student", "/home/someone/secret/"]
)
def test_a_card_holds_no_path_of_the_machine(path: str) -> None:
    audit = full_audit()
    assert audit.training_set is not None
    moved = replace(
        audit,
        models={role: replace(model, source=path) for role, model in audit.models.items()},
        training_set=replace(audit.training_set, source=f"{path}/train.jsonl"),
        settings={"cache_dir": path, "report": [path]},
    )
    text = insert_results("", moved)
    assert "someone" not in text
    assert "train.jsonl" in text


@each_saved_report
def test_hubs_read_the_results_of_saved_reports(saved: str) -> None:
    (audit,) = saved_report(saved).audits
    results = ours(insert_results(CARD, audit))
    assert results["memorization_rate"].metric_value == audit.memorization["student"].value
    assert "/" not in " ".join(result.dataset_name for result in results.values())


def test_one_audit_is_chosen_by_its_name() -> None:
    first, second = full_audit(), full_audit(name="")
    assert select_audit(Report((first,))) is first
    assert select_audit(Report((first, second)), "audits/a") is first
    assert select_audit(Report((first, second)), "the root") is second
    for name, message in ((None, "the report has 2: audits/a, the root"), ("c", "An audit called c was expected")):
        with pytest.raises(SpecError, match=message):
            select_audit(Report((first, second)), name)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    assert read_card(path) == ""
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="no readable text"):
        read_card(path)
    with pytest.raises(DataError, match="there is no such folder"):
        read_card(tmp_path / "no" / "README.md")


def test_of_an_address_a_card_holds_only_the_file_name() -> None:
    audit = full_audit()
    assert audit.training_set is not None
    source = "s3://bucket/train.jsonl?region=eu&endpoint_override=https://minio.corp.internal:9000"
    text = insert_results("", replace(audit, training_set=replace(audit.training_set, source=source)))
    assert "corp.internal" not in text
    assert "name: train.jsonl" in text


def test_an_index_that_refers_to_itself_is_refused_in_a_sentence() -> None:
    with pytest.raises(DataError, match="expected"):
        insert_results("---\nmodel-index: &a\n- *a\n---\n", full_audit())
