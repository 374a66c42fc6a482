"""General parts that know nothing of audits: typed JSON, files, digests, text, progress."""
