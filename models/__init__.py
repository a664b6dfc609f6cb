"""PyTorch networks, the reference field and renderer, training. Used from a checkout.

`models.load(hub id or folder)` gives the network of a checkpoint of any family.
"""


def __getattr__(name: str):
    # On first use: data preparation imports this package without PyTorch.
    if name == "load":
        from models.readers import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
