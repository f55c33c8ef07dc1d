"""Random checkpoints: TensorFlow and tfckpt write the same bytes and read the same values, or the difference has a name."""
