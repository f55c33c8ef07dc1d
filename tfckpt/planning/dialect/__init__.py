"""What the tensors of a source without an object graph are called in its family's own words, where other code wrote them."""
