"""The report: a page to look at, of what a checkpoint holds and what a conversion makes of it."""
