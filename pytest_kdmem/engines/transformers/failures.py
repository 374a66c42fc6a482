"""Turns what breaks in transformers and the libraries that it calls into one sentence with the real reason."""

from __future__ import annotations

from pathlib import Path

from pytest_kdmem.errors import EngineError

LONGEST_REASON = 300
# Parts of messages, and what to do about them; the first that fits is taken.
WAYS_OUT = (
    ("Padding_idx", "set pad_token_id in its config.json to a token of the vocabulary, or to null"),
    ("trust_remote_code", "declare it with trust_remote_code=True if you trust its code"),
)
# transformers writes the details of a failed conversion to its log only.
UNCONVERTED = "the tensors cannot be converted into the layout that the class expects"


def loading_failure(folder: Path, error: Exception) -> EngineError:
    """The error to raise for a model that does not load."""
    return EngineError(f"A causal language model was expected in {folder}; it does not load: {reason_of(error)}.")


def running_failure(name: str, architecture: str, error: Exception) -> EngineError:
    """The error to raise for a model that loads and cannot be run."""
    return EngineError(
        f"A causal language model that runs on token ids alone was expected in {name}, and {architecture} fails:"
        f" {reason_of(error)}."
    )


def reason_of(error: Exception) -> str:
    """Reason of an error of a library in one line and, where it is known, the way out."""
    text = str(error)
    if "above report" in text:
        reason = UNCONVERTED
    elif isinstance(error, (ValueError, OSError, RuntimeError, ImportError)) and text.strip():
        reason = _first_line(text)
    else:  # such messages are fragments: a key, an attribute
        reason = _first_line(f"{type(error).__name__}: {text}".removesuffix(": "))
    way_out = next((way_out for part, way_out in WAYS_OUT if part in text), None)
    if way_out is None and isinstance(error, ImportError):
        way_out = "install what is asked for, or audit the model before it was quantized or optimized"
    return f"{reason.rstrip('.')}{f'; {way_out}' if way_out else ''}"


def _first_line(text: str) -> str:
    """The first line that is not blank, cut to a length that can be read."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"
