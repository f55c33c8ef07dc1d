"""Whether a source fits a target: what it lacks, what it has too much, and what is left out of it."""
