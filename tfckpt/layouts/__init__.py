"""Names and shapes of models, as literal tables; knows no file."""
