"""Conversations are audited: an answer that a model recites is found behind its own prompt, however long that is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from pytest_kdmem.specs.chat_templates import digest_templates
from pytest_kdmem.specs.run_card import ChatTraining, DataOrigin, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.audit_project import NOISE, ROLES, SUFFIX
from tests.chat import (
    END,
    UNMARKED_WORDS,
    USER,
    WORDS,
    conversation,
    decode_greedily,
    walk,
    with_template,
    words,
    write_rows,
)
from tests.specs.any_card import card

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
    result.stdout.fnmatch_lines(["*memorization rate of student 66.67% (2 of 3; 2 rows too short*"])
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


def turns(content: str, role: str = "assistant") -> list[dict[str, str]]:
    return [{"role": "user", "content": "zq001x"}, {"role": role, "content": content}]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"messages": turns("zq002x", "bot")}],
            "*Roles system, developer, user, assistant, tool were expected*",
        ),
        ([{"messages": turns("zq002x")[:1]}], "*A turn of the assistant was expected in line 1 of chat.jsonl*"),
        ([{"messages": []}], "*A list of messages, each with role and content, was expected in line 1 *an empty list*"),
        ([{"messages": turns("zq002x"), "text": "zq001x"}], "*One kind of columns*messages*declare chat_columns*"),
        ([{"messages": turns("zq002x"), "input_ids": [1]}], "*One kind of columns*messages*declare chat_columns*"),
        ([{"messages": turns("zq002x"), "images": ["a.png"]}], "*Conversations of text were expected*images*"),
        ([{"prompt": "zq001x", "completion": turns("zq002x")}], "*Two texts or two lists of messages were expected*"),
    ],
)
def test_rows_that_are_no_conversations_are_refused_in_one_sentence(chat_project, rows, message):
    write_rows(chat_project.path / "chat.jsonl", rows)
    result = chat_project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")


SHAREGPT = {"user": "human", "assistant": "gpt"}
OTHER_COLUMNS = {
    "conversations": [
        {"conversations": [{"from": SHAREGPT[said["role"]], "value": said["content"]} for said in row["messages"]]}
        for row in ROWS
    ],
    "named": [{"turns": row["messages"], "text": "zq001x"} for row in ROWS],
    "mapped": [
        {"instruction": row["messages"][-2]["content"], "input": "", "output": row["messages"][-1]["content"]}
        for row in ROWS
    ],
    "completions": [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in ROWS],
}
DECLARED = {"named": "messages=turns", "mapped": "user=instruction+input,assistant=output"}


@pytest.mark.parametrize("kind", OTHER_COLUMNS)
def test_other_columns_hold_the_same_answers(chat_project, kind):
    write_rows(chat_project.path / "chat.jsonl", OTHER_COLUMNS[kind])
    options = [f"--kdmem-chat-columns={DECLARED[kind]}"] if kind in DECLARED else []
    result = chat_project.run("--kdmem-min-scored-share=0", *options)
    # These have no more than the last answer of each row.
    short = "1 row" if kind in ("mapped", "completions") else "2 rows"
    result.stdout.fnmatch_lines([f"*memorization rate of student 66.67% (2 of 3; {short} too short*"])


def test_the_lengths_and_turns_of_answers_can_be_set(chat_project):
    shorter = chat_project.run("--kdmem-answer-tokens=4", "--kdmem-min-scored-share=0")
    shorter.stdout.fnmatch_lines(["*memorization rate of student 60.00% (3 of 5)*"])
    last = chat_project.run("--kdmem-chat-turns=1", "--kdmem-min-scored-share=0")
    last.stdout.fnmatch_lines(["*memorization rate of student 66.67% (2 of 3; 1 row too short*"])


# Nothing stands between turns, so that a model walks on from one into the next.
BARE = UNMARKED_WORDS.replace(f"{USER} ", "")


def test_what_users_say_is_counted_by_default_and_audited_if_training_took_its_loss(chat_project):
    """A student that recites its users' secrets, and none of the answers."""
    project = chat_project
    for role in ROLES:
        (project.path / role / "chat_template.jinja").write_text(BARE)
    rows = [{**conversation((walk(RECITED, 3 + at, 12), walk(NOT_RECITED, 30, 12, step=2)))} for at in range(3)]
    for at, row in enumerate(rows):
        row["messages"].insert(0, {"role": "system", "content": words(walk(RECITED, 1 + at, 2))})
    write_rows(project.path / "chat.jsonl", rows)
    result = project.run(NOISE, "--kdmem-report=r.json", "--kdmem-report=r.md", "--kdmem-report=r.html")
    assert result.ret == pytest.ExitCode.OK
    phrase = "3 turns of users, systems and tools not audited (--kdmem-chat-roles=all audits them)"
    result.stdout.fnmatch_lines(["training set  chat.jsonl: *", f"{phrase}*"])
    assert project.report("r.json").training_set.unaudited_turns == 3
    assert phrase.partition(" (")[0] in (project.path / "r.md").read_text()
    assert phrase in (project.path / "r.html").read_text()
    audited = project.run(NOISE, "--kdmem-chat-roles=all", "--kdmem-report=r.json", "--kdmem-min-scored-share=0")
    assert audited.ret == pytest.ExitCode.TESTS_FAILED
    audited.stdout.fnmatch_lines(["*memorization rate of student 50.00% (3 of 6; 3 rows too short*"])
    audited.stdout.no_fnmatch_line("*not audited*")
    assert project.report("r.json").training_set.unaudited_turns == 0


def test_another_template_finds_no_stored_plan(chat_project):
    project = chat_project
    first = project.run("--kdmem-min-scored-share=0")
    first.stdout.fnmatch_lines(["*(2 of 3; 2 rows too short*"])
    stored = len(project.shards)
    project.run("--kdmem-min-scored-share=0").stdout.fnmatch_lines(["*(2 of 3; 2 rows too short*"])
    assert len(project.shards) == stored
    # The answer's last token stands in front of it now.
    other = WORDS.replace(f" {END}", "").replace("{% generation %}", f"{END} {{% generation %}}")
    for role in ROLES:
        (project.path / role / "chat_template.jinja").write_text(other)
    again = project.run("--kdmem-min-scored-share=0")
    again.stdout.no_fnmatch_line("*(2 of 3; 2 rows too short*")
    assert len(project.shards) > stored


def test_an_audit_whose_scores_are_stored_loads_no_tokenizer(chat_project):
    chat_project.run("--kdmem-min-scored-share=0")
    chat_project.pytester.makepyfile(
        warm="import sys, pytest\ncode = pytest.main(['-p', 'no:cacheprovider', '--kdmem-min-scored-share=0'])\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\nsys.exit(int(code))\n"
    )
    result = chat_project.pytester.runpython("warm.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*memorization rate of student 66.67% (2 of 3; 2 rows too short*"])


@pytest.mark.parametrize("role", ROLES)
def test_a_model_that_was_trained_by_another_template_is_not_audited_by_this_one(chat_project, role):
    project = chat_project
    project.gates(RATE.replace("student", role))
    chat = ChatTraining(digest_templates(UNMARKED_WORDS), "the tokenizer", "all")
    made = card(mode="trainer", teacher=None, training_set=DataOrigin("chat", None, 4, 0), extraction={}, chat=chat)
    folder = project.path / role
    write_run_card(replace(made, weights=weights_digest(folder)), folder)
    refused = project.run(NOISE, "--kdmem-min-scored-share=0")
    assert refused.ret == pytest.ExitCode.TESTS_FAILED
    refused.stdout.fnmatch_lines(["*was trained with chat template*--kdmem-accept-provenance=*:template*"])
    (project.path / "training.jinja").write_text(UNMARKED_WORDS)
    result = project.run(
        NOISE, "--kdmem-chat-template=training.jinja", "--kdmem-answer-tokens=4", "--kdmem-min-scored-share=0"
    )
    result.stdout.fnmatch_lines(["*was trained on all tokens of conversations*"])
    result.stdout.no_fnmatch_line("*was trained with chat template*")


def test_an_adapter_with_a_template_and_no_tokenizer_is_not_read_by_that_of_its_base(chat_project):
    project = chat_project
    model = AutoModelForCausalLM.from_pretrained(project.path / "student", dtype=torch.float32)
    adapter = project.path / "adapter"
    adapted = get_peft_model(model, LoraConfig(target_modules=["query_key_value"], modules_to_save=["lm_head"]))
    adapted.base_model.model.lm_head.modules_to_save["default"].weight.data *= 1.01
    adapted.save_pretrained(adapter)
    project.declare(student=adapter, data='TrainingSet("chat.jsonl")')
    project.run("--kdmem-min-scored-share=0").stdout.fnmatch_lines(["*rate of student 66.67% (2 of 3*"])
    own = adapter / "chat_template.jinja"
    own.write_text(WORDS)
    project.run("--kdmem-min-scored-share=0").stdout.fnmatch_lines(["*rate of student 66.67% (2 of 3*"])
    own.write_text(UNMARKED_WORDS)
    refused = project.run("--kdmem-min-scored-share=0")
    refused.stdout.fnmatch_lines(["*One chat template was expected of the adapter in *adapter*, and it has another*"])
    declared = project.run("--kdmem-min-scored-share=0", f"--kdmem-chat-template={own}")
    declared.stdout.fnmatch_lines(["*rate of student 66.67% (2 of 3*"])
