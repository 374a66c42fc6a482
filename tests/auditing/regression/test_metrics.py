"""Every metric that can be accepted is taken from a result with its examples and its conditions."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.regression.metrics import TrackedMetric, tracked_metrics
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_figures import FigureEntry
from tests.auditing.estimates import rate, tracked_rate
from tests.auditing.results import full_result
from tests.report.audits import risk_entry

LENGTHS = {"lengths": "50, None, None"}
REFERENCES = {"training set": "d2", "teacher": "d1"}


def by_key(result: AuditResult) -> dict[tuple[str, str], TrackedMetric]:
    return {metric.key: metric for metric in tracked_metrics(result)}


def test_a_rate_has_its_examples_and_the_digests_of_model_and_set() -> None:
    metric = by_key(replace(full_result(), ambiguous_examples={"student": (5,)}))["memorization rate", "student"]
    assert (metric.n, metric.examples, metric.ambiguous) == (1000, (3, 8, 21), (5,))
    assert metric.model_digest == "d1"
    assert metric.comparable_on == {"training set": "d2"} | LENGTHS
    assert metric.possible_examples == {3, 5, 8, 21}


def test_a_rate_over_another_set_has_the_digest_of_that_set() -> None:
    result, label = full_result(), "student on other"
    assert result.training_set is not None
    other = replace(
        result,
        memorization={label: rate(1, 9, subject=label)},
        models={label: result.models["student"]},
        other_sets={label: replace(result.training_set, digest="d9", distinct=9)},
    )
    metric = by_key(other)["memorization rate", label]
    assert (metric.n, metric.comparable_on["training set"]) == (9, "d9")


def test_inheritance_gives_a_ratio_and_a_reduction() -> None:
    result = full_result()
    assert result.inheritance is not None
    entry = replace(result.inheritance, comparable_on={"training set": "t"}, model_digest="s")
    metrics = by_key(replace(result, inheritance=entry))
    ratio, reduction = metrics[entry.ratio.metric, "student"], metrics["reduction", "student"]
    assert (ratio.n, ratio.examples, ratio.model_digest) == (entry.ratio.n, (4, 9), "s")
    assert (reduction.n, reduction.examples) == (1000, (3, 8, 21))
    assert ratio.comparable_on == reduction.comparable_on == {"training set": "t"} | LENGTHS


def test_the_first_reports_give_the_conditions_of_the_audit_as_a_whole() -> None:
    metrics = by_key(full_result())
    assert metrics["reduction", "student"].comparable_on == REFERENCES | LENGTHS
    assert metrics["reduction", "student"].model_digest == "d1"


def test_without_the_students_rate_a_reduction_counts_no_examples() -> None:
    reduction = by_key(replace(full_result(), memorization={}))["reduction", "student"]
    assert (reduction.n, reduction.examples, reduction.model_digest) == (0, None, "")


def test_a_share_at_risk_has_the_examples_at_risk() -> None:
    metric = by_key(replace(full_result(), risk=risk_entry()))["share at risk", "training"]
    assert (metric.n, metric.examples, metric.model_digest) == (2960, (70, 4), "")
    assert metric.comparable_on == REFERENCES | LENGTHS


def test_a_held_out_loss_counts_no_examples() -> None:
    result = full_result()
    metric = by_key(result)["loss", "student"]
    assert (metric.n, metric.examples, metric.model_digest) == (0, None, "d1")
    assert metric.comparable_on == {"control set": "d2"} | LENGTHS
    assert ("loss", "student") not in by_key(replace(result, control_set=None))


def test_inheritance_over_the_teacher_set_has_the_digest_of_that_set_among_its_conditions() -> None:
    result, subject = full_result(), "student on teacher set"
    assert result.training_set is not None
    ratio = replace(rate(1, 40, subject=subject), metric="inheritance ratio")
    figures = (
        FigureEntry("teacher_set", "student", "recited", rate(1, 40, subject="student on teacher set")),
        FigureEntry("teacher_set", "student", "inheritance ratio", ratio),
        FigureEntry("teacher_set", "student", "reduction", replace(ratio, metric="reduction", unit="factor", k=None)),
    )
    student = result.models["student"]
    whole = replace(
        result,
        figures=figures,
        # The teacher was scored over its own set alone.
        models={"student": student, "baseline": student, "teacher on teacher set": replace(student, digest="t")},
        teacher_set=replace(result.training_set, digest="d7"),
    )
    metrics = by_key(whole)
    conditions = {"teacher": "t", "baseline": "d1", "teacher set": "d7"} | LENGTHS
    for name in ("inheritance ratio", "reduction"):
        metric = metrics[name, subject]
        assert (metric.n, metric.examples, metric.model_digest) == (0, None, "d1")
        assert metric.comparable_on == conditions
    assert ("inheritance ratio", subject) not in by_key(replace(whole, models={"student": student}))


def test_of_several_memberships_of_one_name_the_first_can_be_accepted() -> None:
    area = replace(rate(1, 12), metric="membership AUC", unit="area", k=None)
    first, second = (
        FigureEntry("membership", "student", f"AUC, controls {name}", area, digest=name) for name in ("a", "b")
    )
    metric = by_key(replace(full_result(), figures=(first, second)))["membership AUC", "student"]
    assert metric.comparable_on == {"members, controls, attacks or reference": "a"} | LENGTHS
    # Reports of earlier versions do not say over what.
    old = replace(first, digest="")
    assert ("membership AUC", "student") not in by_key(replace(full_result(), figures=(old,)))


def test_canaries_have_the_digest_of_manifest_and_set_among_their_conditions() -> None:
    exposure = replace(rate(1, 12), metric="canary exposure (16 copies)", unit="bits", k=None)
    figure = FigureEntry("canaries", "student", "exposure, 16 copies", exposure, digest="m1")
    metric = by_key(replace(full_result(), figures=(figure,)))["canary exposure (16 copies)", "student"]
    assert (metric.examples, metric.model_digest) == (None, "d1")
    assert metric.comparable_on == {"canaries or training set that holds them": "m1"} | LENGTHS
    # Reports of earlier versions do not say over which canaries.
    for other in (replace(figure, digest=""), replace(figure, subject="other")):
        assert not [key for key in by_key(replace(full_result(), figures=(other,))) if "canary" in key[0]]


def test_an_empty_result_has_no_metric() -> None:
    assert tracked_metrics(AuditResult("2026", {}, {})) == ()


def test_metric_and_subject_tell_metrics_apart() -> None:
    assert tracked_rate([1], 9).key == ("memorization rate", "student")
