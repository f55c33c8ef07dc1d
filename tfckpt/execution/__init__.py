"""The only place where a step becomes bytes."""
