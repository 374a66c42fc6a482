"""The record of an audit is strict JSON and comes back as it went."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.audit.assemble import assemble_report, order_gates
from pytest_kdmem.audit.merge import merge
from pytest_kdmem.audit.report import Report, read_report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import DataEntry, Gate, HeldOutEntry, InheritanceEntry, ModelEntry
from pytest_kdmem.audit.schema_checks import ConfirmationEntry, EngineCheckEntry
from pytest_kdmem.errors import DataError
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.formats import write_report

# Refused on its own, and absent from older reports.
LATER = (
    "schema_version", "name", "risk", "warnings", "ambiguous_examples", "examples", "distributions", "drift",
    "other_sets", "narrowed",
)  # fmt: skip

RUN = {
    "schema_version": 1, "weights": "w", "mode": "soft", "recipe": {"temperature": 2.0}, "loss": "forward KL, T = 2",
    "init": {"source": "runs/base", "digest": "b"}, "teacher": {"source": "runs/teacher", "digest": "t"},
    "training_set": {"source": "train.jsonl", "fingerprint": None, "examples": 9, "tokens": 900},
    "extraction": {"prefix_tokens": 50}, "steps": 1752, "epochs": 4, "seconds": 60.5, "processes": 1, "resumed_at": [],
    "versions": {}, "last_held_out": 3.1,
}  # fmt: skip


def rate(k: int, n: int, subject: str = "student") -> Estimate:
    return estimate_proportion("memorization rate", subject, Counts(k, n), exhaustive=False)


def reduction(value: float, low: float, high: float) -> Estimate:
    return Estimate("reduction", "student", value, low, high, None, 1000, unit="factor")


def whole() -> AuditResult:
    """A result with every part."""
    student = ModelEntry(
        "runs/student", "main", "d1", 70_000, "GPTNeoX", "transformers", "cpu", "float32", 1e-3, run=RUN
    )
    data = DataEntry("train.jsonl", "d2", 1200, 1000, 150, 50, False)
    ratio, share = rate(18, 1955), rate(18, 706)
    gates = (
        Gate("test_rate", "a.py::test_rate", "memorization rate", rate(19, 1000), "<=", 0.01, "fail", "why", "how"),
        Gate("test_pair", "a.py::test_pair", "rate", rate(1, 1000), "<=", rate(50, 1000, "baseline"), "pass", "ok"),
        Gate("test_broken", "a.py::test_broken", "", None, None, None, "error", "engine crashed"),
    )  # fmt: skip
    return AuditResult(
        created="2026-01-02T03:04:05+00:00",
        versions={"torch": "2.9"},
        settings={"prefix_tokens": 50, "student": "runs/schüler", "report": ["a.json"], "confidence": 0.95},
        models={"student": student, "teacher": replace(student, source="runs/teacher", revision=None)},
        training_set=data,
        control_set=replace(data, exhaustive=True),
        memorization={"student": rate(19, 1000)},
        memorized_examples={"student": (3, 8, 21), "teacher": ()},
        held_out={"student": HeldOutEntry(rate(0, 100), replace(rate(0, 100), unit="nats", k=None), 17.3)},
        inheritance=InheritanceEntry(
            {"teacher": 5, "none": 990}, 2, (4, 9), ratio, share, 3, share, reduction(2.4, 1.6, 3.6), 0.03
        ),
        confirmation={
            "student": ConfirmationEntry(
                70,
                2,
                ({"engine": "vllm", "way": "decoded", "example_id": 4, "margin": None, "ambiguous": True},),
                (EngineCheckEntry("transformers", "scored", 70), EngineCheckEntry("vllm", "decoded", 70)),
                9,
                2.0**-13,
                2.0**-15,
                2.1e-5,
            ),
            "teacher": ConfirmationEntry(64, 0, ()),
        },
        gates=gates,
        name="audits/a",
        warnings=("run card of teacher is of other weights",),
    )


CONFIRMED = whole().to_json()["confirmation"]["student"]


def through_json(result: AuditResult) -> AuditResult:
    return AuditResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))


def plain(value: Any) -> Any:
    """Fields all the way down as comparable values; estimates as tuples of theirs, NaN as a word."""
    if hasattr(value, "__dataclass_fields__"):
        return type(value), tuple((name, plain(getattr(value, name))) for name in value.__dataclass_fields__)
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def assert_same(one: AuditResult, other: AuditResult) -> None:
    for name in AuditResult.__dataclass_fields__:
        assert plain(getattr(one, name)) == plain(getattr(other, name)), name


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_report(path)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_every_part_comes_back_as_it_went() -> None:
    assert_same(through_json(whole()), whole())


def test_a_result_of_nothing_comes_back_too() -> None:
    bare = AuditResult("2026-01-02", {}, {})
    assert_same(through_json(bare), bare)


@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.floats(0, 1), st.integers(0, 9), st.sampled_from(["pass", "fail"])),
        max_size=4,
    ),
    st.lists(st.integers(0, 10**12), max_size=4),
    st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=3),
)
@settings(max_examples=50)
def test_any_names_and_figures_come_back(gates: list[Any], ids: list[int], given_settings: dict[str, Any]) -> None:
    made = tuple(Gate(name, name, "rate", rate(k, 9), "<=", limit, outcome, name) for name, limit, k, outcome in gates)
    result = replace(
        whole(), gates=made, memorized_examples={"student": tuple(ids)}, settings=given_settings, confirmation={}
    )
    assert_same(through_json(result), result)


def test_the_layout_is_that_which_users_read() -> None:
    content = whole().to_json()
    assert content["schema_version"] == 1
    assert {"created", "versions", "settings", "models", "training_set", "memorization", "inheritance", "gates"} <= set(
        content
    )
    assert {"source", "revision", "digest", "parameters"} <= set(content["models"]["student"])
    assert {"source", "digest", "examples", "too_short"} <= set(content["training_set"])
    assert {"value", "low", "high", "k", "n", "exhaustive", "confidence", "ambiguous"} <= set(
        content["memorization"]["student"]
    )
    assert {"cells", "inherited", "ratio", "share", "easy", "easy_share", "reduction", "p_value"} <= set(
        content["inheritance"]
    )
    assert {"name", "nodeid", "metric", "estimate", "threshold", "outcome"} <= set(content["gates"][0])


def test_an_infinite_reduction_comes_back_infinite() -> None:
    entry = whole().inheritance
    assert entry is not None
    back = through_json(replace(whole(), inheritance=replace(entry, reduction=reduction(math.inf, 3.1, math.inf))))
    assert back.inheritance is not None
    assert (back.inheritance.reduction.value, back.inheritance.reduction.low) == (math.inf, 3.1)


def test_an_undefined_figure_comes_back_undefined() -> None:
    back = through_json(replace(whole(), memorization={"student": rate(0, 0)}))
    assert math.isnan(back.memorization["student"].value)


@pytest.mark.parametrize("figure", [math.inf, math.nan])
def test_figures_beside_the_estimates_are_strict_json_too(figure: float) -> None:
    entry = whole().held_out["student"]
    json.dumps(replace(whole(), held_out={"student": replace(entry, perplexity=figure)}).to_json(), allow_nan=False)
    (gate, *_) = whole().gates
    json.dumps(replace(whole(), gates=(replace(gate, threshold=figure),)).to_json(), allow_nan=False)


def test_a_report_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_report(Report((whole(),)), tmp_path / "deep" / "er" / "report.json")
    assert read_report(tmp_path / "deep" / "er" / "report.json").to_json() == whole().to_json()
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["report.json"]


def test_a_report_that_cannot_be_written_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match=r"^[^\n]*taken[^\n]*\.$"):
        write_report(Report((whole(),)), tmp_path / "taken" / "deep" / "report.json")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused_and_both_are_named(tmp_path: Path, version: object) -> None:
    (tmp_path / "r.json").write_text(json.dumps({**whole().to_json(), "schema_version": version}))
    sentence = refusal(tmp_path / "r.json")
    assert "schema_version 1" in sentence
    assert repr(version) in sentence


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"null"], ids=repr)
def test_a_file_that_is_no_json_object_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)
    assert str(tmp_path / "r.json") in refusal(tmp_path / "r.json")


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    assert str(tmp_path / "r.json") in refusal(tmp_path / "r.json")


@pytest.mark.parametrize("missing", [name for name in whole().to_json() if name not in LATER])
def test_a_report_with_a_part_missing_is_refused(tmp_path: Path, missing: str) -> None:
    content = whole().to_json()
    del content[missing]
    (tmp_path / "r.json").write_text(json.dumps(content))
    assert missing in refusal(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("gates", 3),
        ("gates", [3]),
        ("models", [1]),
        ("models", {"student": {}}),
        ("models", {"student": {**whole().to_json()["models"]["student"], "run": {"mode": "soft"}}}),
        ("memorization", {"student": {**rate(1, 9).to_json(), "value": "much"}}),
        ("memorization", {"student": None}),
        ("memorized_examples", {"student": 3}),
        ("inheritance", [1]),
        ("training_set", "train.jsonl"),
        ("confirmation", {"student": {"checked": 1, "ambiguous_checked": 0}}),
        ("confirmation", {"student": {"checked": 1, "ambiguous_checked": 0, "disagreements": ["one"]}}),
        ("confirmation", {"student": {**CONFIRMED, "witnesses": [{"engine": "vllm"}]}}),
        ("confirmation", {"student": {**CONFIRMED, "implied_tolerance": "wide"}}),
    ],
)
def test_a_part_of_the_wrong_kind_is_refused(tmp_path: Path, part: str, wrong: object) -> None:
    (tmp_path / "r.json").write_text(json.dumps({**whole().to_json(), part: wrong}))
    refusal(tmp_path / "r.json")


def test_a_damaged_part_or_another_version_is_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    for damage in ({"gates": [3]}, {"schema_version": 2}):
        (tmp_path / "r.json").write_text(json.dumps({**whole().to_json(), **damage}))
        assert str(tmp_path / "r.json") in refusal(tmp_path / "r.json")


def test_parts_of_two_workers_are_merged_in_the_order_of_their_tests() -> None:
    full = whole()
    one = replace(
        full, gates=full.gates[:1], inheritance=None, control_set=None, models={"student": full.models["student"]}
    )
    two = replace(full, created="2026-01-01", gates=full.gates[1:], memorization={"teacher": rate(30, 1000, "teacher")})
    order = ["a.py::test_broken", "a.py::test_pair", "a.py::test_interrupted", "a.py::test_rate"]
    merged = order_gates(merge([one, two]), order)
    assert merged.created == "2026-01-01"
    assert [gate.nodeid for gate in merged.gates] == ["a.py::test_broken", "a.py::test_pair", "a.py::test_rate"]
    assert merged.not_run == ("a.py::test_interrupted",)
    assert set(merged.models) == {"student", "teacher"}
    assert set(merged.memorization) == {"student", "teacher"}
    assert merged.inheritance is not None
    assert merged.control_set == full.control_set


def test_a_part_that_scored_nothing_does_not_hide_the_settings_of_one_that_did() -> None:
    bare = AuditResult("2026-01-01", {}, {"student": "runs/student"})
    merged = merge([bare, whole()])
    assert merged.settings["prefix_tokens"] == 50
    assert merged.versions == whole().versions


def test_one_part_is_itself() -> None:
    result = whole()
    assert merge([result]) is result


def test_what_does_not_pass_lets_no_model_ship() -> None:
    assert [gate.outcome for gate in whole().failed] == ["fail", "error"]


def test_a_report_from_before_audits_had_names_and_models_had_runs_is_read(tmp_path: Path) -> None:
    content = whole().to_json()
    for later in ("name", "warnings"):
        del content[later]
    for entry in content["models"].values():
        del entry["run"]
    (tmp_path / "r.json").write_text(json.dumps(content))
    (old,) = read_report(tmp_path / "r.json").audits
    models = {role: replace(entry, run=None) for role, entry in whole().models.items()}
    assert_same(old, replace(whole(), name="", warnings=(), models=models))


def test_a_report_from_before_there_were_witnesses_is_read(tmp_path: Path) -> None:
    differing = {
        "example_id": 4, "scored_memorized": True, "decoded_memorized": False, "ambiguous": True, "margin": 1e-5,
    }  # fmt: skip
    before = {"student": {"checked": 70, "ambiguous_checked": 2, "disagreements": [differing]}}
    (tmp_path / "r.json").write_text(json.dumps({**whole().to_json(), "confirmation": before}))
    (old,) = read_report(tmp_path / "r.json").audits
    assert old.confirmation == {"student": ConfirmationEntry(70, 2, (differing,))}


def test_several_audits_come_back_in_their_order(tmp_path: Path) -> None:
    audits = (whole(), replace(whole(), name="audits/b", gates=()), AuditResult("2026", {}, {}, name=""))
    write_report(Report(audits), tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    assert content.keys() == {"schema_version", "audits"}
    assert content["audits"][0] == json.loads(json.dumps(whole().to_json()))
    for back, audit in zip(read_report(tmp_path / "r.json").audits, audits, strict=True):
        assert_same(back, audit)


def test_one_audit_is_written_as_itself() -> None:
    assert Report((whole(),)).to_json() == whole().to_json()


def test_a_report_fails_where_any_of_its_audits_does() -> None:
    green = replace(whole(), name="b", gates=whole().gates[1:2])
    assert Report((green,)).failed == ()
    assert [gate.outcome for gate in Report((green, whole())).failed] == ["fail", "error"]


@pytest.mark.parametrize(
    "content",
    [
        {"schema_version": 1, "audits": []},
        {"schema_version": 1, "audits": {}},
        {"schema_version": 1, "audits": [3]},
        {"schema_version": 2, "audits": [whole().to_json()]},
        {"audits": [whole().to_json()]},
        {"schema_version": 1, "audits": [{**whole().to_json(), "schema_version": 2}]},
        {"schema_version": 1, "audits": [whole().to_json(), whole().to_json()]},
    ],
    ids=["none", "an object", "a number", "another version", "no version", "one of another version", "one twice"],
)
def test_several_audits_of_which_something_is_wrong_are_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "r.json").write_text(json.dumps(content))
    assert str(tmp_path / "r.json") in refusal(tmp_path / "r.json")


def test_parts_of_two_processes_are_put_together_audit_by_audit() -> None:
    gate = {name: replace(whole().gates[1], nodeid=name) for name in ("a1", "a2", "b1")}
    bare = AuditResult("2026", {}, {})
    parts = [
        replace(bare, name="b", not_run=("b1",)),
        replace(bare, name="a", gates=(gate["a2"],), memorization={"student": rate(1, 9)}, warnings=("w",)),
        replace(bare, name="b", gates=(gate["b1"],), memorization={"student": rate(2, 9)}),
        replace(bare, name="a", gates=(gate["a1"],), memorization={"teacher": rate(3, 9)}, warnings=("w",)),
    ]
    found = assemble_report(parts, {"a1": "a", "b1": "b", "b2": "b", "a2": "a"}).audits
    assert [audit.name for audit in found] == ["a", "b"]
    assert [[one.nodeid for one in audit.gates] for audit in found] == [["a1", "a2"], ["b1"]]
    assert [audit.not_run for audit in found] == [(), ("b2",)]
    assert [{role: k.k for role, k in audit.memorization.items()} for audit in found] == [
        {"student": 1, "teacher": 3},
        {"student": 2},
    ]
    assert [audit.warnings for audit in found] == [("w",), ()]


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_parts_the_comparison_of_the_audit_s_own_models_is_kept(turned: bool) -> None:
    """Whichever process ends first: another test may have compared other models."""
    audit = whole()
    assert audit.inheritance is not None
    assert audit.training_set is not None
    digests = {role: f"{role} digest" for role in ("teacher", "baseline", "student")}
    models = {role: replace(audit.models["student"], digest=digest) for role, digest in digests.items()}
    over = {"training set": audit.training_set.digest, "teacher": digests["teacher"], "baseline": digests["baseline"]}
    own = replace(audit.inheritance, comparable_on=over, model_digest=digests["student"])
    other = replace(
        audit.inheritance,
        comparable_on=over | {"baseline": digests["student"]},
        model_digest=digests["student"],
        inherited=0,
    )
    parts = [replace(audit, models=models, inheritance=one) for one in (own, other)]
    merged = merge(parts[::-1] if turned else parts)
    assert merged.inheritance == own
