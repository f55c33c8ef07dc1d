"""Two checkpoints compared."""
