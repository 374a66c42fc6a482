"""Training of teachers, baselines and students: the same recipe, models and data always give the same model."""
