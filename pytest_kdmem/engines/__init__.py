"""What runs a model: each engine turns examples into scores behind the one protocol of `engines.protocol`."""
