"""Training of teachers, baselines and students: the same recipe, models and data always give the same model."""

from pytest_kdmem.base.import_notices import leave_out_notices

leave_out_notices()
