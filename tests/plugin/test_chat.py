"""Conversations are audited: an answer that a model recites is found behind its own prompt, however long that is."""

from __future__ import annotations

import pytest

from tests.audit_project import ROLES, SUFFIX
from tests.chat import UNMARKED_WORDS, WORDS, conversation, decode_greedily, walk, with_template, write_rows

RATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 0.01\n"
# Cells of `tests.audit_project`: the student walks up in the regions of cells 2, 4, 5 and 6, and down in the others.
RECITED, NOT_RECITED = 2, 0
ROWS = [
    conversation((walk(RECITED, 3, 2), walk(RECITED, 5, 12))),
    conversation((walk(NOT_RECITED, 3, 9), walk(NOT_RECITED, 12, 12))),
    conversation((walk(7, 3, 5), walk(7, 1, 3)), (walk(RECITED, 20, 4), walk(RECITED, 24, 9))),
    conversation((walk(4, 1, 1), walk(4, 2, 4))),
]


@pytest.fixture
def chat_project(unscored_project):
    project = unscored_project
    folders = {role: with_template(getattr(project.cast, role), project.path / role) for role in ROLES}
    write_rows(project.path / "chat.jsonl", ROWS)
    project.declare(data='TrainingSet("chat.jsonl")', **folders)
    project.gates(RATE)
    return project


@pytest.mark.parametrize("template", [WORDS, UNMARKED_WORDS], ids=["marked", "turn by turn"])
def test_recited_answers_are_found_where_they_begin(chat_project, template):
    project = chat_project
    for role in ROLES:
        (project.path / role / "chat_template.jinja").write_text(template)
    result = project.run("--kdmem-report=r.json", "--kdmem-show-text", "--kdmem-min-scored-share=0")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    # Of five answers two are too short: one of three words and one of four, each with its end.
    result.stdout.fnmatch_lines(["*memorization rate of student 66.67% (2 of 3; 2 too short*"])
    report = project.report("r.json")
    entry = report.memorization["student"]
    assert (report.training_set.examples, report.training_set.too_short) == (5, 2)
    assert entry.k == 2
    examples = report.examples
    tokens = [[int(text[2:5]) for text in prompt.split()] for prompt in examples.prefix]
    answers = [[int(text[2:5]) for text in suffix.split()] for suffix in examples.suffix]
    assert [len(prompt) for prompt in tokens] == [3, 6 + 4 + 5]
    for prompt, answer in zip(tokens, answers, strict=True):
        assert decode_greedily(project.path / "student", prompt, SUFFIX) == answer
