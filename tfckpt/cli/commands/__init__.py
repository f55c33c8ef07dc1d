"""The commands, a file each or for a few that are alike."""
