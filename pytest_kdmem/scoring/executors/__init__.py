"""Executors score shards in this process or on the workers of a Ray cluster."""
