"""Images in files: OCI layouts, and archives of docker and OCI. Never extracted; read in place."""
