"""The public calls, thin ones."""
