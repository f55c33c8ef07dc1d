"""The command ``tfckpt``."""
