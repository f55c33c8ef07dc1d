"""Small checkpoints of every kind, damaged in every way that is counted; what tfckpt and TensorFlow make of it."""
