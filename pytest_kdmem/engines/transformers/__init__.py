"""The engine that runs on PyTorch and transformers: one pass with an early stop, in batches that fit into memory."""

from pytest_kdmem.base.import_notices import leave_out_notices

leave_out_notices()
