"""Every network by the name of its family."""

from __future__ import annotations

from torch import nn

from models.lrm import LRM, LRMConfig
from models.openlrm import OpenLRM, OpenLRMConfig
from models.pooled import PooledLRM, PooledLRMConfig
from models.triposr import TripoSR, TripoSRConfig

FAMILIES = {
    "lrm": (LRM, LRMConfig),
    "pooled-lrm": (PooledLRM, PooledLRMConfig),
    "triposr": (TripoSR, TripoSRConfig),
    "openlrm": (OpenLRM, OpenLRMConfig),
}


def build(config: dict) -> nn.Module:
    """A freshly initialised network from {"family": ..., "config": {...}}."""
    family = config.get("family")
    if family not in FAMILIES:
        raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r}")
    network, configuration = FAMILIES[family]
    return network(configuration.from_json(config["config"]))
