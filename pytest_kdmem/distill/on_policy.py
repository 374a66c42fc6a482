"""On-policy distillation: before each step the student continues the step's prompts by sampling (arXiv 2306.13649).

The divergence from the teacher is then taken over what the student wrote. No gradient flows through the sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset
from torch import FloatTensor, LongTensor, Tensor
from transformers import LogitsProcessor, PreTrainedModel

from pytest_kdmem.distill.batches import Row
from pytest_kdmem.distill.losses import IGNORED
from pytest_kdmem.engines.transformers.decoding import decode


class Prompts:
    """The beginnings of rows, which a student continues.

    Args:
        rows: Rows with ``input_ids``, each at least as long as its prompt, and ``prompt_tokens`` of answers.
        prefix_tokens: Length of the prompt of a row that is no answer.
    """

    def __init__(self, rows: Dataset, prefix_tokens: int) -> None:
        self._rows, self._prefix_tokens = rows, prefix_tokens

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        row = self._rows[index]
        return {"input_ids": row["input_ids"][: prompt_length(row, self._prefix_tokens)], "row": index}


def prompt_length(row: Row, prefix_tokens: int) -> int:
    """Number of tokens of a row that are given to the student: those before an answer, else the prefix."""
    return int(row.get("prompt_tokens", prefix_tokens))


def with_whole_prompt(rows: Dataset, prefix_tokens: int) -> Dataset:
    """The rows that are at least as long as their prompts."""
    lengths = [(len(row["input_ids"]), prompt_length(row, prefix_tokens)) for row in rows]
    return rows.select([index for index, (tokens, prompt) in enumerate(lengths) if tokens >= prompt])


def collate_prompts(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Prompts → int64 ``input_ids`` ``[batch, longest]`` padded on the right, ``prompt_tokens`` and ``row``.

    A row that only fills up the step has no prompt.
    """
    prompts = [np.asarray(row["input_ids"], dtype=np.int64) for row in rows]
    ids = torch.zeros(len(rows), max(2, *map(len, prompts)), dtype=torch.int64)
    for line, prompt in zip(ids, prompts, strict=True):
        line[: len(prompt)] = torch.from_numpy(prompt)
    return {
        "input_ids": ids,
        "prompt_tokens": torch.tensor([len(prompt) for prompt in prompts]),
        "row": torch.tensor([row.get("row", 0) for row in rows]),
    }


@dataclass(frozen=True)
class SampledText:
    """How a student continues prompts.

    Args:
        window_tokens: Length that a prompt is continued to.
        vocabulary: Number of token ids that may be written; rows of the head beyond it are padding.
        temperature: Temperature of the sampling.
        seed: Seed of the sampling.
        end: Token id that ends a text; None if texts go on to the end of the window.
    """

    window_tokens: int
    vocabulary: int
    temperature: float
    seed: int
    end: int | None = None

    def continued(self, model: PreTrainedModel, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """A batch of `collate_prompts` → ``input_ids`` and ``labels`` ``[batch, window]``; prompts have no labels.

        A text depends on the weights, the seed, the step and its row alone, and not on the rows or processes beside it.

        Args:
            model: The student; its mode is that before once the texts are written.
            batch: The prompts.
            step: Number of optimizer steps before this one.
        """
        prompts, lengths, rows = batch["input_ids"], batch["prompt_tokens"].tolist(), batch["row"].tolist()
        ids = prompts.new_zeros(len(prompts), self.window_tokens)
        labels = torch.full_like(ids, IGNORED)
        was_training = model.training
        model.eval()  # text is written without dropout
        for length in sorted(set(lengths) - {0}):  # a decoded token stands right behind its prompt
            group = [line for line, tokens in enumerate(lengths) if tokens == length]
            choice = SeededChoice([(self.seed, step, rows[line]) for line in group], self.temperature, self.vocabulary)
            new_ids = decode(model, prompts[group, :length], self.window_tokens - length, choice)
            ids[group, :length], ids[group, length:], labels[group, length:] = prompts[group, :length], new_ids, new_ids
        model.train(was_training)
        if self.end is not None:
            ends = (labels == self.end).int()
            labels[ends.cumsum(dim=1) - ends > 0] = IGNORED  # what stands behind the first end
        return {"input_ids": ids, "labels": labels}


class SeededChoice(LogitsProcessor):
    """Samples by one random number for each row and token, so that a row draws the same whatever stands beside it.

    Args:
        keys: Numbers that the random numbers of each row follow from.
        temperature: Temperature of the sampling.
        vocabulary: Number of token ids that may be drawn.
    """

    def __init__(self, keys: Sequence[Sequence[int]], temperature: float, vocabulary: int) -> None:
        self._generators = [np.random.default_rng(list(key)) for key in keys]
        self._temperature, self._vocabulary = temperature, vocabulary

    def __call__(self, input_ids: LongTensor, scores: FloatTensor) -> FloatTensor:
        """Logits ``[batch, vocabulary]`` of which the drawn token alone is finite."""
        logits = scores[:, : self._vocabulary].double() / self._temperature
        cumulative = logits.softmax(dim=1).cumsum(dim=1)
        uniform = torch.tensor([[generator.random()] for generator in self._generators], dtype=torch.float64)
        places = uniform.to(cumulative.device) * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, places, right=True).clamp(max=logits.shape[1] - 1)
        chosen = torch.full_like(scores, -torch.inf)
        return chosen.scatter_(1, drawn, 0.0)  # type: ignore[return-value]
