"""What a study found: a module per finding, each a pure function from the study to a small frozen result."""
