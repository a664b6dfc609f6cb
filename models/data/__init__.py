"""Pictures of real objects for training: read, render, pack. See models/data/README.md."""
