"""Dialects of the real checkpoints: what is said to be next is typed, to the end, and what came of every value is counted."""
