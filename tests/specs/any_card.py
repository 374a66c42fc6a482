"""A run card for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_kdmem.specs.run_card import DataOrigin, ModelOrigin, RunCard


def card(**changed: Any) -> RunCard:
    """A run card with some fields changed."""
    made = RunCard(
        weights="w" * 32,
        mode="soft",
        recipe={"temperature": 2.0, "epochs": 4, "precision": "bfloat16"},
        loss="forward KL, T = 2",
        init=ModelOrigin("runs/base", "b" * 32),
        teacher=ModelOrigin("runs/teacher", "3f2a" + "0" * 28),
        training_set=DataOrigin("train.jsonl", "f" * 32, 7008, 560_640),
        extraction={"prefix_tokens": 50, "suffix_tokens": 50, "window_tokens": 128},
        steps=1752,
        epochs=4,
        seconds=63.5,
        processes=1,
        resumed_at=(400, 900),
        versions={"torch": "2.13"},
        loss_curve=((1, 4.0), (1752, 1.5)),
        held_out=((876, 3.2), (1752, 3.1)),
    )
    return replace(made, **changed)
