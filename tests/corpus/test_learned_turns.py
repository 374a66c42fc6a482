"""Turns of all roles are found where they stand, and the last ones are told apart by turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.corpus.chat_source import chat_digests
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import CorpusReader
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.chat import write_rows
from tests.corpus.chat_layouts import CHATML, TEMPLATES, THINKING, without_marks, write_tokenizer
from tests.corpus.test_chat_template import (
    COMPLETIONS,
    MESSAGES,
    TEXTS,
    WITH_SYSTEM,
    by_trl,
    check_against_trl,
    messages,
    read,
)

TOOLS = {
    "messages": [
        {"role": "user", "content": "amber birch?"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "larch", "arguments": "{}"}}]},
        {"role": "tool", "content": "maple nettle"},
        {"role": "assistant", "content": "cedar"},
    ]
}
# As TRL's training templates: calls of tools are of the answer, and what a tool says is a turn of the user's.
CALLING = CHATML.replace(
    "{{ message.content + '<|im_end|>' }}{% endgeneration %}",
    "{{ message.content }}{% for call in message.tool_calls or [] %}{{ '<call>' + call.function.name +"
    " call.function.arguments }}{% endfor %}{{ '<|im_end|>' }}{% endgeneration %}",
)


def texts(folder: Path, examples: list[Example]) -> list[tuple[str, str]]:
    """What stands before each turn, and the turn."""
    tokenizer = load_tokenizer(folder)
    assert tokenizer is not None
    return [(tokenizer.decode(e.ids[: e.prefix_tokens]), tokenizer.decode(e.learned)) for e in examples]


@pytest.mark.parametrize("marks", [True, False])
@pytest.mark.parametrize("kind", TEMPLATES)
def test_turns_of_all_roles_are_examples_behind_what_stands_before_them(tmp_path, sentences, kind, marks):
    template = TEMPLATES[kind] if marks else without_marks(TEMPLATES[kind])
    folder = write_tokenizer(tmp_path, sentences, template)
    rows = MESSAGES if kind == "gemma" else [*MESSAGES, WITH_SYSTEM]
    examples = read(folder, rows, chat_roles="all")
    # TRL takes the loss of all of them by default.
    trained = by_trl(folder, rows)
    for example in examples:
        ids, labels = trained[example.row]
        assert ids == labels
        assert ids[: len(example.ids)] == example.ids.tolist()
    answers = {example.digest for example in read(folder, rows)}
    others = [example for example in examples if example.digest not in answers]
    assert len(examples) == len(answers) + len(others)
    contents = [(row, message) for row, entry in enumerate(rows) for message in entry["messages"]]
    expected = [(row, message["content"]) for row, message in contents if message["role"] != "assistant"]
    learned_texts = [(e.row, text) for e, (_, text) in zip(others, texts(folder, others), strict=True)]
    assert learned_texts == expected
    starts = [(example.row, example.prefix_tokens) for example in examples]
    assert starts == sorted(starts)


def test_what_users_and_tools_say_is_audited_where_it_stands(tmp_path, sentences):
    for template in (CALLING, without_marks(CALLING)):
        folder = write_tokenizer(tmp_path, sentences, template)
        [question, call, response, answer] = texts(folder, read(folder, [TOOLS], chat_roles="all"))
        assert question == ("<|im_start|>user\n", "amber birch?")
        assert call[1].removesuffix("\n") == "<call>larch{}<|im_end|>"
        assert response[1] == "maple nettle"
        assert response[0].endswith("<|im_start|>tool\n")
        assert answer[1].removesuffix("\n") == "cedar<|im_end|>"


def test_calls_of_tools_are_learned_as_in_trl(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, CALLING)
    check_against_trl(read(folder, [TOOLS]), by_trl(folder, [TOOLS], assistant_only_loss=True))


def template_of_trl(name: str) -> str:
    import trl

    return (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


CALL = {"type": "function", "function": {"name": "larch", "arguments": {"x": 1}}}
AGENT = {
    "messages": [
        {"role": "user", "content": "amber birch?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "maple nettle"},
        {"role": "assistant", "content": "<think>\nosier\n</think>\n\ncedar"},
        {"role": "user", "content": "delta"},
        {"role": "assistant", "content": "<think>\npine\n</think>\n\nember"},
    ],
    "tools": [{"type": "function", "function": {"name": "larch", "description": "", "parameters": {"type": "object"}}}],
}


@pytest.mark.parametrize("name", ["qwen3_training", "llama3_training", "glm4moe_training"])
def test_agents_that_think_and_call_tools_are_read_as_in_trl(tmp_path, sentences, name):
    folder = write_tokenizer(tmp_path, sentences, template_of_trl(name))
    examples = read(folder, [AGENT])
    check_against_trl(examples, by_trl(folder, [AGENT], assistant_only_loss=True))
    assert len(examples) == 3
    spoken = [text for _, text in texts(folder, read(folder, [AGENT], chat_roles="all"))]
    assert [spoken[at] for at in (0, 2, 4)] == ["amber birch?", "maple nettle", "delta"]


def test_the_template_of_a_model_that_thinks_is_read_as_trl_trains_on_it(tmp_path, sentences):
    """It leaves the thoughts of earlier turns out, and marks nothing."""
    folder = write_tokenizer(tmp_path, sentences, template_of_trl("qwen3"))
    rows = [MESSAGES[0], MESSAGES[2]]
    trained = by_trl(folder, rows)
    examples = read(folder, rows, chat_roles="all")
    assert all(trained[e.row][0][: len(e.ids)] == e.ids.tolist() for e in examples)
    [_, _, _, first, _, last] = [text for _, text in texts(folder, examples)]
    assert (first, last) == ("nettle", "<think>\npine\n</think>\n\namber<|im_end|>\n")
    with pytest.raises(DataError, match="renders turn 2 otherwise once others follow"):
        read(folder, [AGENT])  # a call without text


def test_prompts_are_examples_if_training_took_their_loss(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, CHATML)
    contents = [text for _, text in texts(folder, read(folder, COMPLETIONS, chat_roles="all"))]
    ends = [text.removesuffix("<|im_end|>\n") for text in contents]
    assert ends == ["amber birch?", "cedar delta.", "ember", "fjord", "grove", "heath"]
    plain = texts(folder, read(folder, TEXTS[:1], chat_roles="all"))
    assert "".join(plain[0]) == plain[1][0] == "amber birch?"


LONG = "larch maple nettle osier pine amber birch cedar delta ember"


def test_turns_that_are_not_audited_are_counted(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, CHATML)
    conversation = {"messages": messages(LONG, LONG, "birch", LONG, system=LONG)}
    plain = {"prompt": LONG, "completion": LONG}
    for rows, counted in (([conversation, MESSAGES[0]], 2), ([plain, TEXTS[0]], 1)):
        source = write_rows(tmp_path / "rows.jsonl", rows)
        for roles, unaudited in ((None, counted), ("assistant", counted), ("all", 0)):
            training_set = TrainingSet(source, chat_roles=roles)
            reader = CorpusReader(training_set, load_tokenizer(folder), Extraction(1, 8, 4096))
            list(reader)
            assert reader.record.unaudited_turns == unaudited


def test_a_turn_that_cannot_be_told_is_refused(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, "{{ messages[0].content | length }}" + CHATML)
    with pytest.raises(DataError, match=r'renders turn 1, of the user, otherwise; .*chat_roles="assistant"') as caught:
        read(folder, MESSAGES[:1], chat_roles="all")
    assert "amber" not in str(caught.value)
    with pytest.raises(SpecError, match='found chat_roles="all" with chat_turns=1'):
        read(folder, MESSAGES[:1], chat_roles="all", chat_turns=1)
    with pytest.raises(SpecError, match="chat_roles are declared; found text"):
        read(folder, [{"text": "amber"}], chat_roles="all")


# A turn in two marked runs: its first word, and what follows.
SPLIT = CHATML.replace(
    "{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}",
    "{% generation %}{{ message.content[:3] }}{% endgeneration %}{{ '<think>' }}{% generation %}"
    "{{ message.content[3:] + '<|im_end|>' }}{% endgeneration %}",
)


def test_the_last_turns_are_counted_by_turns_and_not_by_marked_runs(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, SPLIT)
    row: list[dict[str, Any]] = [{"messages": messages("ember fjord", "grove heath", "inlet", "juniper knoll")}]
    assert [text for _, text in texts(folder, read(folder, row, chat_turns=1))] == ["jun", "iper knoll<|im_end|>"]
    assert len(read(folder, row, chat_turns=2)) == len(read(folder, row)) == 4
    # Two turns, one behind the other, in one run.
    joined = CHATML.replace("{{ '\\n' }}{% endfor %}", "{% endfor %}").replace(
        "{{ '<|im_start|>' + message.role + '\\n' }}", "{% if message.role == 'user' %}{{ 'user' }}{% endif %}"
    )
    folder = write_tokenizer(tmp_path, sentences, joined)
    turns = [*messages("ember", "fjord"), {"role": "assistant", "content": "grove"}]
    padding = [{"messages": messages("amber", "birch")}] * 256  # marks are held against turns in the first rows alone
    examples = read(folder, [*padding, {"messages": [*messages("amber", "birch"), *turns]}], chat_turns=1)
    assert texts(folder, examples[-1:])[0][1] == "grove<|im_end|>"


def test_last_turns_that_cannot_be_told_apart_are_refused(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, "{{ messages | length }}" + THINKING)
    with pytest.raises(DataError, match=r"last 1 turns were expected to be told apart .*drop chat_turns"):
        read(folder, MESSAGES[1:2], chat_turns=1)


def test_what_is_stored_of_other_roles_is_not_read_for_these(tiny):
    checkpoint = open_checkpoint(Model(str(tiny)))
    of_answers, of_all, of_default = (
        chat_digests(TrainingSet("someone/rows", chat_roles=roles), checkpoint) for roles in ("assistant", "all", None)
    )
    assert of_all != of_answers == of_default
