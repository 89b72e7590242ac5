"""The OCI registry client, and the relay for the engine's pushes."""
