"""The engine that runs on PyTorch and transformers: one pass with an early stop, in batches that fit into memory."""
