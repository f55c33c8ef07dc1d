"""Modules generated from proto/; see proto/README.md."""
