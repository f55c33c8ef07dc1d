"""The values of a TensorBundle: dtypes, entries, slices, strings, and how bytes become arrays."""
