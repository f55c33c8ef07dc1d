"""Fuzzing: entry points, mutators that get behind checksums, and a runner; `run` says how."""
