"""What commands print with: tables, folded rows, colours, bars."""
