"""The roles that models and training sets take in an audit.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

MODEL_ROLES = ("teacher", "student", "baseline")
DATA_ROLES = ("training_set", "control_set", "teacher_set")
ROLES = MODEL_ROLES + DATA_ROLES
# In the names of figures over the teacher set.
TEACHER_SET_NAME = "teacher set"
# In sentences about figures over the control set.
CONTROL_SET_NAME = "control set"

# The order in which reports name the models.
ROLE_ORDER = ("teacher", "baseline", "student")
# Models that are not released; reports compare the student with them.
REFERENCES = ("teacher", "baseline")
