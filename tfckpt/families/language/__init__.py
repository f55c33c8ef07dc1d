"""What a family can say: rows, parts, axes patterns, calls; and what reads them."""
