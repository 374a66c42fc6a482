"""The engine that runs on PyTorch and transformers: one pass, early stop, batches that fit."""
