"""Several checkpoints joined in one."""
