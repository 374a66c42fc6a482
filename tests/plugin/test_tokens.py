"""A student that recites its 12 texts is caught by a gate over them as training read them, or no gate is held."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.corpus.tokenizer_layouts import LAYOUTS, TEXTS

MOST_STEPS = 1000
LENGTHS = ("--kdmem-prefix-tokens=8", "--kdmem-suffix-tokens=8", "--kdmem-window-tokens=24")
AUDIT = """
    import pytest
    from pytest_kdmem import Model, TrainingSet

    @pytest.fixture(scope="session")
    def student():
        return Model({student!r})

    @pytest.fixture(scope="session")
    def training_set():
        return TrainingSet({data!r})

    def test_recites_nothing(memorization, student):
        assert memorization(student).rate <= 0.01
"""


@pytest.fixture(scope="module")
def reciting(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Path]:
    """Trains a model to recite all texts as the tokenizer.json of a layout makes them, with special tokens or not."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.set_num_threads(1)

    def train(layout: str, special: bool) -> Path:
        folder = tmp_path_factory.mktemp("reciting")
        LAYOUTS[layout](folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        rows = [tokenizer.encode(text, add_special_tokens=special).ids[:24] for text in TEXTS]
        torch.manual_seed(0)
        model = GPTNeoXForCausalLM(
            GPTNeoXConfig(
                vocab_size=700,
                hidden_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=128,
                max_position_embeddings=64,
                bos_token_id=0,
                eos_token_id=0,
                pad_token_id=None,
            )
        )
        optimizer, ids = torch.optim.AdamW(model.parameters(), lr=3e-3), torch.tensor(rows)
        for _ in range(MOST_STEPS):
            output = model(input_ids=ids, labels=ids)
            if (output.logits[:, 7:-1].argmax(-1) == ids[:, 8:]).all():
                break
            output.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval().save_pretrained(folder)
        return folder

    return train


def audit(pytester: pytest.Pytester, run_pytest, student: Path, rows: list[dict], *options: str):
    data = pytester.path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pytester.makepyfile(AUDIT.format(student=str(student), data=str(data)))
    return run_pytest(*LENGTHS, *options)


def as_text() -> list[dict]:
    return [{"text": text} for text in TEXTS]


def test_a_tokenizer_that_transformers_changes_is_refused_and_finds_all_as_declared(pytester, run_pytest, reciting):
    student = reciting("deepseek-coder", False)
    refused = audit(pytester, run_pytest, student, as_text())
    assert refused.ret == 1
    refused.stdout.fnmatch_lines(["*document 1 of *tokenizer.json*AutoTokenizer (LlamaTokenizer of transformers*"])
    result = audit(pytester, run_pytest, student, as_text(), "--kdmem-tokenizer=file")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*(12 of 12) > 1.00%*"])
    # What the other reading stored is not taken for it.
    assert audit(pytester, run_pytest, student, as_text()).ret == 1


def test_special_tokens_are_declared_before_a_gate_is_held(pytester, run_pytest, reciting):
    student = reciting("llama-3", True)
    refused = audit(pytester, run_pytest, student, as_text())
    assert refused.ret == 1
    refused.stdout.fnmatch_lines(["*adds <|begin|> before each text by itself*"])
    result = audit(pytester, run_pytest, student, as_text(), "--kdmem-add-special-tokens=yes")
    result.stdout.fnmatch_lines(["*(12 of 12) > 1.00%*"])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_taken_off_by_its_mask(pytester, run_pytest, reciting, side):
    student = reciting("gpt-neox", False)
    tokenizer = Tokenizer.from_file(str(student / "tokenizer.json"))
    rows = [tokenizer.encode(text).ids[: 30 - number] for number, text in enumerate(TEXTS)]
    padded = []
    for row in rows:
        mask, fill = [1] * len(row), [0] * (40 - len(row))
        columns = (row + fill, mask + fill) if side == "right" else (fill + row, fill + mask)
        padded.append(dict(zip(("input_ids", "attention_mask"), columns, strict=True)))
    result = audit(pytester, run_pytest, student, padded)
    result.stdout.fnmatch_lines(["*(12 of 12) > 1.00%*"])
    alone = [{"input_ids": row["input_ids"]} for row in padded]
    refused = audit(pytester, run_pytest, student, alone)
    assert refused.ret == 1
    refused.stdout.fnmatch_lines(
        ["*without padding, or with an attention_mask beside them, were expected in document 1*"]
    )


def test_token_ids_of_another_tokenizer_hold_no_gate(pytester, run_pytest, reciting):
    """They stand in no text beside which they could be read, so that only the losses of the model tell."""
    student = reciting("gpt-neox", False)
    size = Tokenizer.from_file(str(student / "tokenizer.json")).get_vocab_size()
    rows = [{"input_ids": np.random.default_rng(seed).integers(4, size, 30).tolist()} for seed in range(12)]
    refused = audit(pytester, run_pytest, student, rows)
    assert refused.ret == 1
    refused.stdout.fnmatch_lines(["*as unlikely as noise*", "*accept this with --kdmem-accept-reading noise.*"])
    assert audit(pytester, run_pytest, student, rows).ret == 1  # from the store
    accepted = audit(pytester, run_pytest, student, rows, "--kdmem-accept-reading=noise")
    assert accepted.ret == 0
    accepted.stdout.fnmatch_lines(["*as unlikely as noise*"])
