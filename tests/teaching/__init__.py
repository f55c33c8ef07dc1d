"""Failures that people meet, provoked: what the command line says of each, and what it says to type next.

`cases` has them, `stage` makes the files that they are about, `page` writes docs/errors.md from what was said.
"""
