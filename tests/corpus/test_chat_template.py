"""Token ids of conversations, and which of them were learned, are those of TRL, whatever the template."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from tests.chat import write_rows
from tests.corpus.chat_layouts import CHATML, GEMMA, LLAMA, TEMPLATES, THINKING, without_marks, write_tokenizer

# A window that holds every row, and answers of any length.
WHOLE = Extraction(1, 1, 4096)


def messages(*contents: str, system: str | None = None) -> list[dict[str, Any]]:
    """A user and an assistant in turns."""
    first = [{"role": "system", "content": system}] if system else []
    roles = ("user", "assistant") * len(contents)
    return [*first, *({"role": role, "content": text} for role, text in zip(roles, contents, strict=False))]


MESSAGES = [
    {"messages": messages("amber birch?", "cedar delta.")},
    {"messages": messages("ember fjord", " grove heath \n", "inlet", "juniper knoll <b>")},
    {"messages": messages("larch", "<think>\nmaple\n</think>\nnettle", "osier", "<think>\npine\n</think>\namber")},
]
WITH_SYSTEM = {"messages": messages("birch", "cedar", system="delta ember")}
COMPLETIONS = [
    {"prompt": messages("amber birch?"), "completion": messages("amber birch?", "cedar delta.")[1:]},
    {"prompt": messages("ember", "fjord", "grove"), "completion": [{"role": "assistant", "content": "heath"}]},
]
TEXTS = [
    {"prompt": "amber birch?", "completion": " cedar delta."},
    {"prompt": "ember fjord ", "completion": "grove<|endoftext|>"},
    {"prompt": "in", "completion": "let"},
]


def by_trl(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> list[tuple[list[int], list[int]]]:
    """Token ids and labels of rows, as TRL trains on them."""
    from datasets import Dataset
    from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM
    from trl import SFTConfig, SFTTrainer

    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    trainer = SFTTrainer(
        model=GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=420, **shape)),
        args=SFTConfig(output_dir=str(folder / "out"), max_length=None, report_to="none", use_cpu=True, **settings),
        train_dataset=Dataset.from_list(deepcopy(rows)),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )
    return [(row["input_ids"], row["labels"]) for row in trainer.train_dataset]


def read(folder: Path, rows: list[dict[str, Any]], extraction: Extraction = WHOLE, **declared: Any) -> list[Example]:
    """The examples of rows."""
    source = write_rows(folder / "rows.jsonl", rows)
    return list(stream_examples(TrainingSet(source, **declared), load_tokenizer(folder), extraction))


def check_against_trl(examples: list[Example], trained: list[tuple[list[int], list[int]]]) -> None:
    """Every learned run of tokens of a row is an answer behind all that stands before it, and no other is."""
    answers = [(example.row, example.prefix_tokens, example.ids.tolist()) for example in examples]
    expected = []
    for row, (ids, labels) in enumerate(trained):
        learned = np.array([label != -100 for label in labels])
        assert [ids[at] for at in np.flatnonzero(learned)] == [label for label in labels if label != -100]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], learned, [False]]).astype(int)))
        runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        expected += [
            (row, max(1, start), ids[:end]) for start, end in runs
        ]  # nothing predicts the first token of a row
    assert answers == expected


@pytest.mark.parametrize("kind", TEMPLATES)
def test_messages_are_those_of_trl(tmp_path, sentences, kind):
    folder = write_tokenizer(tmp_path, sentences, TEMPLATES[kind], adds_bos=kind == "llama")
    rows = MESSAGES if kind == "gemma" else [*MESSAGES, WITH_SYSTEM]
    check_against_trl(read(folder, rows), by_trl(folder, rows, assistant_only_loss=True))


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_without_marks_gives_the_same_ids_turn_by_turn(tmp_path, sentences, kind):
    rows = MESSAGES[:1] if kind == "thinking" else MESSAGES
    marked = read(write_tokenizer(tmp_path, sentences, TEMPLATES[kind]), rows)
    unmarked = read(write_tokenizer(tmp_path, sentences, without_marks(TEMPLATES[kind])), rows)
    end = "\n" if kind in ("chatml", "thinking") else ""  # the line end behind an answer is not marked
    tokenizer = load_tokenizer(tmp_path)
    assert [tokenizer.decode(e.ids) + end for e in marked] == [tokenizer.decode(e.ids) for e in unmarked]
    assert [example.prefix_tokens for example in marked] == [example.prefix_tokens for example in unmarked]


def test_an_earlier_answer_that_a_template_without_marks_changes_is_found_by_its_text(tmp_path, sentences):
    """As Qwen3's, the template leaves thoughts out once others follow, and TRL trains on that."""
    folder = write_tokenizer(tmp_path, sentences, without_marks(THINKING))
    [(ids, labels)] = by_trl(folder, MESSAGES[2:])
    first, last = read(folder, MESSAGES[2:])
    tokenizer = load_tokenizer(folder)
    assert labels == ids == last.ids.tolist()
    assert ids[: len(first.ids)] == first.ids.tolist()
    assert tokenizer.decode(first.learned) == "\nnettle"
    assert tokenizer.decode(last.learned) == "<think>\npine\n</think>\namber<|im_end|>\n"


@pytest.mark.parametrize("kind", TEMPLATES)
def test_conversational_completions_are_those_of_trl(tmp_path, sentences, kind):
    folder = write_tokenizer(tmp_path, sentences, without_marks(TEMPLATES[kind]))
    check_against_trl(read(folder, COMPLETIONS), by_trl(folder, COMPLETIONS))


@pytest.mark.parametrize("adds_bos", [False, True])
def test_plain_completions_are_those_of_trl(tmp_path, sentences, adds_bos):
    folder = write_tokenizer(tmp_path, sentences, None, adds_bos=adds_bos)
    examples = read(folder, TEXTS, add_special_tokens=True)
    check_against_trl(examples, by_trl(folder, TEXTS))
    assert all((example.ids[0] == 1) == adds_bos for example in examples)
    without = read(folder, TEXTS, add_special_tokens=True, eos="never")
    ends = [int(example.ids[-1]) for example in without]
    assert [end == 0 for end in ends] == [False, True, False]


def test_a_bos_that_the_tokenizer_adds_is_asked_for_and_never_put_in_front_of_a_template(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, LLAMA, adds_bos=True)
    assert [example.ids.tolist().count(1) for example in read(folder, MESSAGES[:1])] == [1]
    with pytest.raises(SpecError, match="drop it, or give the token ids of training"):
        read(folder, MESSAGES[:1], add_special_tokens=True)
    with pytest.raises(SpecError, match="declare add_special_tokens=True"):
        read(folder, TEXTS)


def test_tools_and_settings_of_a_row_reach_the_template_as_in_trl(tmp_path, sentences):
    template = "{% if tools %}{{ tools | tojson }}{% endif %}{% if tone is defined %}{{ tone }}{% endif %}" + CHATML
    folder = write_tokenizer(tmp_path, sentences, template)
    tool = {"type": "function", "function": {"name": "larch", "parameters": {"type": "object"}}}
    rows = [{**MESSAGES[0], "tools": [tool], "chat_template_kwargs": {"tone": "maple"}}]
    check_against_trl(read(folder, rows), by_trl(folder, rows, assistant_only_loss=True))
    assert '"larch"' in load_tokenizer(folder).decode(read(folder, rows)[0].ids)
    assert "maple" in load_tokenizer(folder).decode(read(folder, rows)[0].ids)


def test_another_template_can_be_declared_and_makes_other_examples(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, CHATML)
    (tmp_path / "own.jinja").write_text(LLAMA)
    declared = read(folder, MESSAGES, chat_template=tmp_path / "own.jinja")
    assert [e.ids.tolist() for e in declared] == [
        e.ids.tolist() for e in read(write_tokenizer(tmp_path, sentences, LLAMA), MESSAGES)
    ]
    assert declared[0].digest != read(write_tokenizer(tmp_path, sentences, CHATML), MESSAGES)[0].digest


def test_the_last_turns_alone_are_examples_if_training_took_their_loss_alone(tmp_path, sentences):
    for template in (CHATML, without_marks(CHATML), without_marks(THINKING)):
        folder = write_tokenizer(tmp_path, sentences, template)
        last = read(folder, MESSAGES, chat_turns=1)
        assert [example.row for example in last] == [0, 1, 2]
    folder = write_tokenizer(tmp_path, sentences, CHATML)
    of_all = {example.row: example.digest for example in read(folder, MESSAGES)}  # the last of each row
    assert [example.digest for example in read(folder, MESSAGES, chat_turns=1)] == list(of_all.values())


def test_the_nearest_tokens_before_an_answer_are_its_prefix_and_the_window_holds_the_suffix(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, CHATML)
    [whole] = read(folder, MESSAGES[:1])
    start, answer = whole.prefix_tokens, len(whole.learned)
    assert start > 6
    assert answer == 4
    [cut] = read(folder, MESSAGES[:1], Extraction(1, 2, 6))
    assert (cut.prefix_tokens, cut.ids.tolist()) == (4, whole.ids[start - 4 : start + 2].tolist())
    [roomy] = read(folder, MESSAGES[:1], Extraction(1, 2, start + 3))
    assert (roomy.prefix_tokens, roomy.ids.tolist()) == (start, whole.ids[: start + 3].tolist())
    assert roomy.is_scored(Extraction(1, 3, 9))
    assert not whole.is_scored(Extraction(1, 5, 9))


# The first word of an answer is not marked.
MARKED_LATE = CHATML.replace(
    "{% generation %}{{ message.content",
    "{% set word = message.content.split(' ')[0] %}{{ word }}{% generation %}{{ message.content[word | length :]",
)


def test_a_mask_wrong_by_one_token_gives_another_example(tmp_path, sentences):
    right = read(write_tokenizer(tmp_path, sentences, CHATML), MESSAGES[:1])
    late = read(write_tokenizer(tmp_path, sentences, MARKED_LATE), MESSAGES[:1])
    assert [example.prefix_tokens for example in late] != [example.prefix_tokens for example in right]
    with pytest.raises(AssertionError):
        check_against_trl(
            late, by_trl(write_tokenizer(tmp_path, sentences, CHATML), MESSAGES[:1], assistant_only_loss=True)
        )


ALL_MARKED = "{% generation %}" + without_marks(CHATML) + "{% endgeneration %}"
NONE_MARKED = "{% if false %}{% generation %}{% endgeneration %}{% endif %}" + without_marks(CHATML)
DATED = "{{ strftime_now('%d') }}" + CHATML
# The number of messages, and the length of each, stand in front.
COUNTED = "{{ messages | length }}{% for m in messages %}{{ m.content | length }}{% endfor %}" + without_marks(CHATML)


@pytest.mark.parametrize(
    ("template", "rows", "message"),
    [
        (None, MESSAGES[:1], "A chat template was expected in .*declare chat_template"),
        (COUNTED, MESSAGES[1:2], r"renders turn 2 otherwise once others follow, .*declare chat_turns=1"),
        (ALL_MARKED, MESSAGES[:1], "it marks tokens 0 to"),
        (NONE_MARKED, MESSAGES[:1], "it marks 0 answers in 1 turns"),
        (DATED, MESSAGES[:1], "shows today's date"),
        (GEMMA, [WITH_SYSTEM], r"line 1 of .*refuses \(System role not supported\)"),
        ("{{ messages[9].content[0] }}", MESSAGES[:1], "UndefinedError|refuses"),
    ],
)
def test_a_template_that_does_not_tell_the_answers_is_refused(tmp_path, sentences, template, rows, message):
    folder = write_tokenizer(tmp_path, sentences, template)
    with pytest.raises((DataError, SpecError), match=message) as caught:
        read(folder, rows)
    assert "amber" not in str(caught.value), "text of the training set"


def test_a_set_of_text_and_conversations_is_refused(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, CHATML)
    with pytest.raises(DataError, match="found none in document 2"):
        read(folder, [MESSAGES[0], {"text": "amber"}])
    with pytest.raises(SpecError, match="chat_turns are declared; found text"):
        read(folder, [{"text": "amber"}], chat_turns=1)
    with pytest.raises(SpecError, match='form="blocks" and minimum_tokens, which are of text'):
        read(folder, MESSAGES, form="blocks", minimum_tokens=3)


def test_digests_tell_apart_where_an_answer_begins():
    text = Example(0, np.arange(1, 9, dtype=np.int32))
    answers = [replace(text, prefix_tokens=start) for start in (3, 4)]
    assert len({text.digest, *(answer.digest for answer in answers)}) == 3
