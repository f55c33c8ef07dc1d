"""What a file of tensors is: its model, what training keeps beside it, who wrote it, what it can become."""
