"""Sigstore's services, spoken to over HTTP."""
