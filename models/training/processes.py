"""Several processes, one GPU each, as PyTorch's own launcher starts them:

torchrun --nproc-per-node 4 -m models.train models/configs/lrm-tiny.json --data DIR --out RUN
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from models.training.batches import Share


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[Share]:
    """This process's share of the run; alone unless a launcher has set RANK and WORLD_SIZE."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Share()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Share(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()


def choose_device(name: str) -> torch.device:
    """`auto`: this process's GPU if there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    return device


def synchronised(objective: nn.Module, share: Share) -> nn.Module:
    """Gradients averaged over the processes."""
    return objective if share.world == 1 else DistributedDataParallel(objective)
