"""From one layout to another: plan what happens to every tensor, carry the bytes, prove the result."""
