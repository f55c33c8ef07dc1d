"""Checkpoints changed, joined, mended and compared."""
