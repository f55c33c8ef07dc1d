"""What the command line says of exports without looking at the rest."""

SAFETENSORS, NPZ, NPY = KINDS = ("safetensors", "npz", "npy")
KEY, PATH, FULL = FORMS = ("key", "path", "full")  # what tensors are called
