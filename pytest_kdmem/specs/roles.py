"""The roles that models and training sets take in an audit.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

MODEL_ROLES = ("teacher", "student", "baseline")
DATA_ROLES = ("training_set", "control_set")
ROLES = MODEL_ROLES + DATA_ROLES

# The order in which reports name the models.
ROLE_ORDER = ("teacher", "baseline", "student")
# Models that do not ship: their figures are there to compare with.
REFERENCES = ("teacher", "baseline")
