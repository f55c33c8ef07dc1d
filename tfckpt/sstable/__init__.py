"""One LevelDB-style sorted string table: bytes in, values out; opens no file."""
