"""Reports: each a pure function of the audits of a session."""
