"""Checkpoints of TensorFlow before 0.12, which TensorFlow still reads: V1, SavedTensorSlices."""
