"""What people take for checkpoints: a table of all kinds, and what tells those apart that their first bytes do not."""
