"""Where a checkpoint is: prefixes, directories, state files, and what was probably meant."""
