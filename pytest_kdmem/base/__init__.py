"""What every other package uses, and what knows nothing of audits: typed JSON, files, digests, text, progress."""
