"""HTTP in small layers: origins, authorisation, retry and waits, limits, redaction."""
