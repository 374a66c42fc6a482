"""The study of arXiv 2601.15394 again, at any scale: texts, plan, runs, findings."""
