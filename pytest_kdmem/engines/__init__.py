"""Engines run a model: each turns examples into scores behind the protocol of `engines.protocol`."""
