"""Training of teachers, baselines and students: what is audited can be made here, the same way each time."""
