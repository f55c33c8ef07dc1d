"""The object graph: its objects, paths, optimizers, and what each tensor is for."""
