"""What several test files need: models to restore into, and checkpoints to convert."""
