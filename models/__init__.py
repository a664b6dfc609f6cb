"""PyTorch networks, the reference field and renderer, training. Used from a checkout."""
