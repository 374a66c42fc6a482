"""An audit in a model's card is read by hubs as it was found, and nothing else in the card is touched."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.audit.report import Report, read_report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.base.files import write_json
from pytest_kdmem.cli.card import card
from pytest_kdmem.errors import DataError, KdmemError, SpecError
from pytest_kdmem.report.model_card import KEY, insert_results, read_card, results, select_audit
from tests.report.any_report import HOSTILE, TEXT, rate, saved, whole

OTHERS = """\
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


def read_back(text: str) -> list[EvalResult]:
    found = ModelCard(text).data.eval_results
    assert isinstance(found, list)
    return found


def ours(text: str) -> dict[str, EvalResult]:
    return {one.metric_type: one for one in read_back(text) if one.source_name == "pytest-kdmem"}


def front(text: str) -> dict[str, Any]:
    matched = REGEX_YAML_BLOCK.search(text.removeprefix("\ufeff"))
    assert matched is not None
    content: dict[str, Any] = yaml.safe_load(matched[2])
    return content


def test_hubs_read_the_figures_that_were_found() -> None:
    audit = whole()
    found = ours(insert_results("# Title\n", audit))
    assert audit.inheritance is not None
    assert audit.risk is not None
    told = {
        "memorization_rate": audit.memorization["student"],
        "inheritance_ratio": audit.inheritance.ratio,
        "reduction": audit.inheritance.reduction,
        "share_at_risk": audit.risk.share_at_risk,
        "loss": audit.held_out["student"].loss,
    }
    assert found.keys() == told.keys()
    for kind, estimate in told.items():
        one = found[kind]
        assert one.metric_value == estimate.value
        assert one.metric_args is not None
        assert (one.metric_args["low"], one.metric_args["high"]) == (estimate.low, estimate.high)
        assert (one.metric_args.get("k"), one.metric_args["n"]) == (estimate.k, estimate.n)
        assert one.task_type == "text-generation"
        assert one.metric_name
        data = "control.jsonl" if kind == "loss" else "train.jsonl"
        assert (one.dataset_name, one.dataset_type) == (data, data)


def test_hubs_write_the_same_results() -> None:
    _, found = model_index_to_eval_results([{"name": "m", "results": results(whole())}])
    assert eval_results_to_model_index("m", found) == [{"name": "m", "results": results(whole())}]


def test_what_was_not_measured_is_not_told() -> None:
    audit = whole(memorization={"student": rate(0, 0)}, risk=None, held_out={})
    assert ours(insert_results("", audit)).keys() == {"inheritance_ratio", "reduction"}
    assert audit.inheritance is not None
    endless = replace(audit.inheritance.reduction, value=math.inf, high=math.inf)
    text = insert_results("", replace(audit, inheritance=replace(audit.inheritance, reduction=endless)))
    assert ours(text)["reduction"].metric_value == "inf"
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_where_only_another_model_was_audited_the_card_is_of_that() -> None:
    audit = whole(memorization={"teacher": rate(67, 1000, "teacher")}, held_out={}, risk=None)
    text = insert_results("", audit)
    assert ours(text).keys() == {"memorization_rate"}
    assert front(text)[KEY][0]["name"] == "teacher"


@pytest.mark.parametrize("audit", [AuditResult("2026", {}, {}), whole(training_set=None, control_set=None)])
def test_an_audit_without_figures_is_refused(audit: AuditResult) -> None:
    with pytest.raises(DataError, match="A measured figure of the student was expected"):
        insert_results("", audit)


def test_all_but_the_index_stays_byte_by_byte() -> None:
    text = insert_results(OTHERS, whole())
    before, _, rest = OTHERS.partition("model-index:\n")
    after = "\n# languages" + rest.partition("\n# languages")[2]
    assert text.startswith(before)
    assert text.endswith(after)
    assert front(text)[KEY][0]["results"][:1] == front(OTHERS)[KEY][0]["results"]
    assert front(text)[KEY][0]["name"] == "my model"
    assert len(read_back(text)) == 6


# Cards of every form; what is in ⟨⟩ is replaced, and all else stays.
OTHER = "{task: {type: t}, dataset: {name: d, type: d}, metrics: []}"
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
    "in brackets": f"---\ntags: [x]\n⟨model-index: [{{name: m, results: [{OTHER}]}}] # b\n⟩z: 'é'\n---\n",
    "at the end": "---\nlicense: mit\n⟨model-index:\n- name: m\n  results: [\n  ]\n⟩---\n",
    "all of it": OTHERS.replace("model-index:\n  -", "⟨model-index:\n  -").replace('org"}\n', 'org"}\n⟩'),
}


@pytest.mark.parametrize("line_break", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "BOM"])
@pytest.mark.parametrize("form", FORMS)
def test_a_card_of_any_form_keeps_what_it_has(form: str, mark: str, line_break: str) -> None:
    text = mark + FORMS[form].replace("\n", line_break)
    before, kept = re.sub("[⟨⟩]", "", text), re.split("⟨.*?⟩", text, flags=re.DOTALL)
    after = insert_results(before, whole())
    assert len(ours(after.removeprefix("\ufeff"))) == 5
    assert insert_results(after, whole()) == after
    assert after.startswith(kept[0])
    assert after.endswith(kept[-1])
    if line_break in before:
        assert "\n" not in after.replace(line_break, "")
    added = after.removeprefix(kept[0]).removesuffix(kept[-1]).lstrip()
    assert added.startswith("model-index:" if kept[0] != mark else "---")
    assert added.count("---") == (0 if kept[0] != mark else 2)
    others = any(one in before for one in (OTHER, "type: ppl", "perplexity"))
    assert len(front(after)[KEY][0]["results"]) == 2 + others


def test_an_earlier_audit_of_ours_is_replaced() -> None:
    first = insert_results(OTHERS, whole())
    second = insert_results(first, whole(memorization={"student": rate(3, 1000)}, name="audits/b"))
    assert ours(second)["memorization_rate"].metric_value == 0.003
    assert len(read_back(second)) == 6
    assert insert_results(second, whole()) == first


def test_ours_is_found_wherever_it_stands() -> None:
    index = [{"name": "a", "results": [{"x": 1}]}, {"name": "b", "results": [*results(whole()), {"y": 2}]}]
    text = f"---\n{yaml.safe_dump({KEY: index})}---\n"
    told = front(insert_results(text, whole(risk=None)))[KEY]
    assert [len(model["results"]) for model in told] == [3, 1]
    assert told[1]["results"] == [{"y": 2}]


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_what_cannot_be_written_into_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        insert_results(text, whole())
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@given(TEXT, TEXT, TEXT)
@settings(max_examples=100)
def test_no_name_breaks_the_card(model: str, source: str, digest: str) -> None:
    audit = whole()
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
@settings(max_examples=200)
def test_any_card_is_written_whole_or_refused(text: str) -> None:
    try:
        after = insert_results(text, whole())
    except DataError:
        return
    assert len(ours(after)) == 5
    assert insert_results(after, whole()) == after


@pytest.mark.parametrize(
    "path", ["/home/someone/secret/student", "C:\\Users\\someone\\student", "/home/someone/secret/"]
)
def test_nothing_tells_of_the_machine_or_the_text(path: str) -> None:
    audit = whole()
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


@saved
def test_saved_reports_are_read_back(path: Path) -> None:
    (audit,) = read_report(path).audits
    found = ours(insert_results(OTHERS, audit))
    assert found["memorization_rate"].metric_value == audit.memorization["student"].value
    assert "/" not in " ".join(one.dataset_name for one in found.values())


def test_one_audit_is_chosen_by_its_name() -> None:
    one, other = whole(), whole(name="")
    assert select_audit(Report((one,))) is one
    assert select_audit(Report((one, other)), "audits/a") is one
    assert select_audit(Report((one, other)), "the root") is other
    for name, said in ((None, "the report has 2: audits/a, the root"), ("c", "An audit called c was expected")):
        with pytest.raises(SpecError, match=said):
            select_audit(Report((one, other)), name)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "audit.json"
    write_json(whole().to_json(), path)
    return path


def run(*arguments: str) -> None:
    app = typer.Typer()
    app.command()(card)
    app(list(arguments), standalone_mode=False)


def test_the_command_writes_the_card_in_place(tmp_path: Path, record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(OTHERS.replace("\n", "\r\n").encode())
    run(str(record), str(path))
    assert path.read_bytes().decode() == insert_results(OTHERS.replace("\n", "\r\n"), whole())
    assert ModelCard.load(path).data.model_name == "my model"
    assert str(path) in capsys.readouterr().out.replace("\n", "")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["README.md", "audit.json"]


def test_the_command_makes_a_card_where_there_is_none(tmp_path: Path, record: Path) -> None:
    path = tmp_path / "README.md"
    run(str(record), str(path))
    assert ModelCard.load(path).text == "\n# student\n"
    stamp = path.stat().st_mtime_ns
    run(str(record), str(path))
    assert path.stat().st_mtime_ns == stamp


def test_the_command_refuses_in_a_sentence_and_leaves_the_card(tmp_path: Path, record: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(b"---\na: [\n---\n")
    several = tmp_path / "several.json"
    several.write_text(json.dumps(Report((whole(), whole(name="b"))).to_json()))
    for arguments in (
        (record, path), (record, tmp_path), (record, tmp_path / "no" / "README.md"), (record, record), (several, path),
        (tmp_path / "absent.json", path),
    ):  # fmt: skip
        with pytest.raises(KdmemError, match=r"^[^\n]+\.$"):
            run(*map(str, arguments))
    assert path.read_bytes() == b"---\na: [\n---\n"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="no readable text"):
        read_card(path)


def test_hostile_names_are_known() -> None:
    assert "\ud800" in HOSTILE  # or the properties above show little


def test_an_address_tells_no_more_than_the_file_s_name() -> None:
    audit = whole()
    assert audit.training_set is not None
    source = "s3://bucket/train.jsonl?region=eu&endpoint_override=https://minio.corp.internal:9000"
    text = insert_results("", replace(audit, training_set=replace(audit.training_set, source=source)))
    assert "corp.internal" not in text
    assert "name: train.jsonl" in text


def test_an_index_that_refers_to_itself_is_refused_in_a_sentence() -> None:
    with pytest.raises(DataError, match="expected"):
        insert_results("---\nmodel-index: &a\n- *a\n---\n", whole())
