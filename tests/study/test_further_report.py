"""The report on further questions."""

from __future__ import annotations

import json

from pytest_kdmem.study.further_report import QUESTIONS, write_questions
from tests.study.findings.asked_by_hand import answers, study_of


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def test_json_and_tables_have_every_question_and_say_what_was_not_run(by_hand, tmp_path):
    near = {"within 0.1 edits a token": range(9)}
    study = study_of(by_hand, ("teacher", 0, answers(range(5), near=near)), ("baseline", 0, answers([], near=near)))
    figures, tables = write_questions(study, tmp_path / "deep" / "out")
    assert [figures.name, tables.name] == ["questions.json", "questions.md"]
    document = json.loads(figures.read_text(encoding="utf-8"), parse_constant=refuse)
    assert list(document["findings"]) == [question.key for question in QUESTIONS]
    status = {key: each["status"] for key, each in document["findings"].items()}
    assert {key for key, each in status.items() if each == "not run"} >= {"copies", "secrets", "absent", "on_policy"}
    assert status["near"] == status["membership"] == "run"
    rows = {row["figure"]: row for row in document["findings"]["near"]["rows"]}
    assert rows["recited within 0.1 edits a token, teacher"]["measured"]["mean"] == 9 / 40
    text = tables.read_text(encoding="utf-8")
    assert [f"## {question.title}\n" in text for question in QUESTIONS] == [True] * len(QUESTIONS)
    assert "| pythia, fineweb | recited within 0.1 edits a token / exactly, teacher | 1.80 × | 1 |" in text
    assert text.count("\nnot run.\n") == list(status.values()).count("not run")


def test_a_study_without_questions_writes_nothing(by_hand, whole_study, tmp_path):
    assert write_questions(whole_study(), tmp_path / "out") == ()
    assert not (tmp_path / "out").exists()
