"""What everything above it uses: options, issues, logging, progress."""
