"""The kinds of files that tensors come from and go to: bundles, safetensors, npz, directories of .npy files."""
