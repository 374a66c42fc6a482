"""Reports: each a pure function of an AuditResult."""
