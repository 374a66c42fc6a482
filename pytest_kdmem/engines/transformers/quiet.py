"""Silences what transformers and the libraries behind it write while they load a model."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO

from transformers.utils import logging as transformers_logging

# Libraries that write warnings of their own ways of running a model; adapters import torchao where it is installed.
LOGGERS = ("bitsandbytes", "compressed_tensors", "torchao", "torch.utils._pytree")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and warnings of transformers, and restore its settings afterwards."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence what libraries for quantized models and adapters write when they are imported and load a model.

    Their loggers stay silent, as they warn of their own ways whenever a model runs.
    """
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    with redirect_stderr(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
