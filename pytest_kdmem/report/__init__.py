"""Reports. Each format is a pure function of the audits of a session."""
