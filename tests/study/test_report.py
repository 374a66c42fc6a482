"""The report as a reader and a program meet it."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings.figures import Spread
from pytest_kdmem.study.record import Study
from pytest_kdmem.study.report import FINDINGS, measured, number, plain, to_json, to_markdown, write_report

PLOTS = ["rates", "zlib-perplexity", "entropy-logprob", "repetition", "temperature"]


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def tables(markdown):
    """Each heading's table, as cells; escaped bars belong to their cell."""
    tables_by_heading = {}
    for section in re.split(r"^## ", markdown, flags=re.M)[1:]:
        title, _, body = section.partition("\n")
        lines = [line for line in body.splitlines() if line.startswith("|")]
        tables_by_heading[title] = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return tables_by_heading


@pytest.fixture(scope="module")
def written(whole_study, tmp_path_factory):
    return write_report(whole_study(predicted=True), tmp_path_factory.mktemp("report") / "deep" / "out")


def test_files(written):
    names = ["findings.json", "tables.md", *(f"{name}.svg" for name in PLOTS)]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in written[0].parent.iterdir()) == sorted(names)


def test_json_is_valid_finite_and_has_the_published_beside(written):
    document = json.loads(written[0].read_text(encoding="utf-8"), parse_constant=refuse)
    assert list(document["findings"]) == [finding.key for finding in FINDINGS]
    assert {each["status"] for each in document["findings"].values()} == {"run"}
    rows = {(row["setting"], row["figure"]): row for row in document["findings"]["rates"]["rows"]}
    row = rows["pythia, fineweb", "memorized, soft"]
    assert row["published"] == 0.0007
    assert row["measured"] == {"values": [31 / 300] * 3, "n": 3, "mean": pytest.approx(31 / 300), "deviation": 0}
    assert row["agreement"] == "agrees"
    (inherited, *_) = document["findings"]["inherited"]["figures"]
    assert inherited["of_teacher_only"] == [{"k": 1, "n": 40, "value": 0.025}] * 3
    (prediction,) = document["findings"]["risk"]["figures"]["predictions"]
    assert (prediction["family"], prediction["memorized"]) == ("qwen3", {"k": 31, "n": 300, "value": 31 / 300})
    rows = {(row["setting"], row["figure"]): row for row in document["findings"]["risk"]["rows"]}
    assert rows["qwen3, fineweb", "ROC-AUC"]["published"] == 0.9999
    rows = {(row["setting"], row["figure"]): row for row in document["findings"]["prefilter"]["rows"]}
    assert rows["pythia, fineweb", "fall"]["measured"]["values"] == [1 - 1 / 31] * 3
    assert rows["pythia, fineweb", "fall"]["agreement"] == "agrees"
    assert document["settings"] == {"seeds": [0, 1, 2]}


def test_tables_are_well_formed(written):
    tables_by_heading = tables(written[1].read_text(encoding="utf-8"))
    assert list(tables_by_heading) == ["Models", *(finding.title for finding in FINDINGS), "Plots"]
    for finding in FINDINGS:
        head, rule, *lines = tables_by_heading[finding.title]
        assert head == ["setting", "figure", "measured", "n", "by seed", "published", "direction"]
        assert set(rule) == {"---"}
        assert lines
        assert {len(line) for line in (rule, *lines)} == {7}
    inheritance = tables_by_heading["Inheritance (finding 3)"][2]
    counts = "1/40, 1/40, 1/40"
    assert inheritance[:6] == ["pythia, fineweb", "T∩S∖B of T∖B", "2.5 ± 0 %", "3", counts, "0.9 %"]
    assert inheritance[6] == "few: cannot be told at this n"


def test_plots_are_svg_with_labelled_axes(written):
    for path in written[2:]:
        text = "".join(ET.parse(path).getroot().itertext())
        assert re.search(r"%|bytes|nats", text), path
        assert "pythia, fineweb" in text


def test_the_same_study_gives_the_same_bytes(whole_study, written, tmp_path):
    again = write_report(whole_study(predicted=True), tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_an_empty_study_says_not_run(tmp_path):
    written = write_report(Study("nothing", {}, (), {}), tmp_path)
    assert [path.name for path in written] == ["findings.json", "tables.md"]
    document = json.loads(written[0].read_text(encoding="utf-8"), parse_constant=refuse)
    assert {each["status"] for each in document["findings"].values()} == {"not run"}
    assert written[1].read_text(encoding="utf-8").count("\nnot run.\n") == len(FINDINGS)


@pytest.mark.parametrize("part", ["temperature", "size", "families", "pilot", "prefilter", "main"])
def test_a_missing_part_is_no_error(whole_study, part):
    whole = whole_study()
    study = replace(whole, runs=tuple(run for run in whole.runs if run.part != part))
    results = {finding.key: finding.find(study) for finding in FINDINGS}
    document = json.loads(json.dumps(to_json(study, results), allow_nan=False))
    status = {key: each["status"] for key, each in document["findings"].items()}
    assert to_markdown(study, results).count("\nnot run.\n") == list(status.values()).count("not run")
    not_run = {
        "temperature": {"temperature"},
        "size": set(),  # seeds are left of stability
        "families": {"families"},
        "pilot": {"pilot"},
        "prefilter": {"prefilter"},
        "main": {"stability", "hard", "prefilter"},
    }
    assert {key for key, each in status.items() if each == "not run"} == not_run[part] | {"risk"}  # nothing is paired


@pytest.mark.filterwarnings("error")
def test_models_that_recite_nothing(by_hand, tmp_path):
    hand = by_hand([0, 1, 2, 2, 3], too_short=[3])
    runs = [hand.model(role) for role in ("teacher", "baseline", "soft", "hard")]
    runs.append(hand.model("soft", part="temperature", temperature=4.0))
    runs.append(hand.model("baseline", part="size", size="medium"))
    runs += [hand.model(role, part="families", family="olmo2") for role in ("teacher", "baseline", "soft")]
    written = write_report(hand.study(*runs), tmp_path)
    json.loads(written[0].read_text(encoding="utf-8"), parse_constant=refuse)
    text = written[1].read_text(encoding="utf-8")
    assert "undefined" in text
    assert not re.search(r"\bnan\b|\binf\b|None", text)
    assert "agrees" not in text.partition("## ")[2]


@pytest.mark.filterwarnings("error")
def test_every_example_too_short(by_hand, tmp_path):
    hand = by_hand([0, 1, 1], too_short=[0, 1])
    write_report(hand.study(*(hand.model(role) for role in ("teacher", "baseline", "soft", "hard"))), tmp_path)
    assert "0/0" in (tmp_path / "tables.md").read_text(encoding="utf-8")


def test_names_break_no_table(by_hand, tmp_path):
    hand = by_hand(range(3))
    study = hand.study(hand.model("teacher", dataset="a|b\nc\\"))
    write_report(study, tmp_path)
    tables_by_heading = tables((tmp_path / "tables.md").read_text(encoding="utf-8"))
    assert {len(line) for line in tables_by_heading["Rates and utility (findings 1, 2)"]} == {7}


def test_digests_are_not_reported(written):
    """A report holds figures over examples and nothing that points at one."""
    for path in written:
        assert "0000000f" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("wrong", [math.nan, math.inf, object()])
def test_plain_refuses_what_json_cannot_hold(wrong):
    with pytest.raises(DataError, match="finite figure"):
        plain({"a": [wrong]})


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0033, "percent", "0.33"),
        (0.000012, "percent", "0.0012"),
        (16_133, "examples", "16\u202f133"),
        (2.5, "examples", "2.5"),
        (2.75, "nats", "2.750"),
        (None, "times", "undefined"),
    ],
)
def test_numbers(value, unit, expected):
    assert number(value, unit) == expected


def test_measured_shows_a_spread_from_two_seeds_on():
    assert measured(Spread((0.01,)), "percent") == "1 %"
    assert measured(Spread((0.01, 0.03)), "percent") == "2 ± 1.41 %"
    assert measured(Spread((0.01, None)), "percent") == "undefined"


def test_spare_places_of_a_plot_stay_empty(by_hand, tmp_path):
    """Four settings leave two of six places empty; an empty pair of axes would have ticks from 0.0 to 1.0."""
    hand = by_hand(range(9))
    runs = [hand.model("teacher", range(3), dataset=f"d{number}") for number in range(4)]
    plots = {path.name: path for path in write_report(hand.study(*runs), tmp_path)}
    text = plots["rates.svg"].read_text(encoding="utf-8")
    assert text.count(">pythia, d") == 4
    assert ">0.6<" not in text
