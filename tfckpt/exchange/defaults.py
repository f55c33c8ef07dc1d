"""What the command line says of exports without looking at the rest."""

SAFETENSORS, NPZ, NPY = KINDS = ("safetensors", "npz", "npy")
SOURCE = "source"  # the target that leaves names and shapes as they are
KEY, PATH, FULL = FORMS = ("key", "path", "full")  # what tensors are called
