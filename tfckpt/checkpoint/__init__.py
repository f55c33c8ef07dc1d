"""A checkpoint as its users see it: tensors by name, the object graph, the state file of a directory."""
