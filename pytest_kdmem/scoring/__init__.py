"""Model × training set → score table: what is stored is read, what is not is scored by an executor."""
