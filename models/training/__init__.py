"""What `python -m models.train` is made of: batches, sampled rays, losses, checkpoints, pictures."""
