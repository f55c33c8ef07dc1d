"""One TensorBundle: an index of names over shards of bytes."""
