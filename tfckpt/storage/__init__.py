"""Bytes and disk: files here and behind URLs, paths, locks, and what kind of file something is."""
