"""Tensors out to the files of other frameworks, and in from them: safetensors, npz, directories of .npy files."""
