"""Plans: what becomes of each tensor, before any value is read."""
