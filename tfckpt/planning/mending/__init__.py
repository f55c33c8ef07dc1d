"""What would help where a source does not fit."""
