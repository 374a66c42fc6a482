"""What stands before an answer by chat templates that many trainings use, as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pytest_kdmem.corpus.conversations import ASSISTANT

# Role and text of each message before an answer.
Messages = Sequence[tuple[str, str]]


def _by_headers(before: str, behind: str, end: str) -> Callable[[Messages], str]:
    """A template that writes a header with the role before each message, and the same after it."""

    def prompt(messages: Messages) -> str:
        turns = "".join(f"{before}{role}{behind}{text}{end}" for role, text in messages)
        return f"{turns}{before}{ASSISTANT}{behind}"

    return prompt


def _by_names(user: str, assistant: str, separator: str) -> Callable[[Messages], str]:
    """A template that writes a name before each message."""

    def prompt(messages: Messages) -> str:
        turns = "".join(f"{assistant if role == ASSISTANT else user}{text}{separator}" for role, text in messages)
        return turns + assistant

    return prompt


def _of_llama_2(messages: Messages) -> str:
    return "".join(text if role == ASSISTANT else f"[INST] {text} [/INST]" for role, text in messages)


COMMON_TEMPLATES: Mapping[str, Callable[[Messages], str]] = {
    "chat-chatml": _by_headers("<|im_start|>", "\n", "<|im_end|>\n"),
    "chat-llama-3": _by_headers("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>"),
    "chat-llama-2": _of_llama_2,
    "chat-human": _by_names("Human: ", "Assistant: ", "\n\n"),
    "chat-user": _by_names("User: ", "Assistant: ", "\n"),
    "chat-alpaca": _by_names("### Instruction:\n", "### Response:\n", "\n\n"),
}
