"""Optimizer state, there and back."""
