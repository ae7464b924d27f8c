"""What a person types: xds-server and xdsctl."""
