"""Reads the documents of a training set, cuts them into examples of token ids, and groups these into shards."""
