"""Many conversions side by side."""
