"""The workers that train one trial together: alone, under torchrun or in a Ray Train group."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """This worker's `rank` among `size` workers, and the `device` it computes on."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def current(cls) -> "Team":
        """The process group that this process belongs to, or a team of one."""
        if not dist.is_initialized():
            return cls(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        if torch.cuda.is_available():
            device = torch.device("cuda", torch.cuda.current_device())
        else:
            device = torch.device("cpu")
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def places(self, size: int) -> torch.Tensor:
        """Which of `size` things, such as the samples of a batch, are this worker's; maybe none."""
        return torch.arange(size)[self.rank :: self.size]

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of everyone's `tensor`."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def agree(self, value: T) -> T:
        """The leader's `value`, for every worker."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def align(self, model: nn.Module) -> None:
        """Give all workers the leader's buffers: statistics of their own batches drift apart."""
        if self.size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    def share(self, model: nn.Module) -> nn.Module:
        """`model`, with its gradients averaged over the team."""
        return DistributedDataParallel(model) if self.size > 1 else model


@contextmanager
def launched() -> Iterator[Team]:
    """The team that torchrun started, or a team of one; the process group ends with the block."""
    if "WORLD_SIZE" not in os.environ:
        yield Team.current()
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Team.current()
    finally:
        dist.destroy_process_group()
