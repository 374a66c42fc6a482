"""Leaves out what torchao and bitsandbytes write while they are imported.

Transformers and PEFT import them wherever they are installed. They tell of kernels that they have for other devices or
could download, and of how they register enumerations of their own.
"""

from __future__ import annotations

import logging

TORCHAO, TRITON, BITSANDBYTES = "torchao", "torchao.kernel.intmm", "bitsandbytes.backends.cpu.ops"
# The loggers that write it, which all else goes through that they say.
LOGGERS = (TORCHAO, TRITON, "torch.utils._pytree", BITSANDBYTES)
# How the lines about missing kernels begin, by logger.
BEGINNINGS = {
    TORCHAO: "Failed to load ",
    TRITON: "Warning: Detected no triton",
    BITSANDBYTES: "Failed to load CPU gemm_4bit_forward",
}


def leave_out_notices() -> None:
    """Let these loggers pass over these lines from now on, whoever imports the libraries."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_is_no_notice)


def _is_no_notice(record: logging.LogRecord) -> bool:
    if record.name in BEGINNINGS:
        return not record.getMessage().startswith(BEGINNINGS[record.name])
    registered = record.args[0] if isinstance(record.args, tuple) and record.args else None
    return not str(getattr(registered, "__module__", "")).startswith(TORCHAO)
