"""What a user asked for: what to leave out, to fill, to resize."""
