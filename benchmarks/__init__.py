"""One script a workload, each beside its ceiling and its peer."""
