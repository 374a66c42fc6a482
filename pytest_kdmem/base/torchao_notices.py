"""Leaves out what torchao writes while it is imported: transformers and PEFT import it wherever it is installed.

It tells of kernels that it has for other devices, and of how it registers enumerations of its own.
"""

from __future__ import annotations

import logging

PACKAGE = "torchao"
# The loggers that write it, which all else goes through that they say.
LOGGERS = (PACKAGE, "torch.utils._pytree")


def leave_out_notices() -> None:
    """Let both loggers pass over these lines from now on, whoever imports torchao."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_is_no_notice)


def _is_no_notice(record: logging.LogRecord) -> bool:
    if record.name == PACKAGE:
        return not record.getMessage().startswith("Failed to load ")
    registered = record.args[0] if isinstance(record.args, tuple) and record.args else None
    return not str(getattr(registered, "__module__", "")).startswith(PACKAGE)
