"""The xDS protocol without I/O: requests in, pushes out."""
