"""Several processes, started by torchrun, that share the work of one command.

    torchrun --nproc-per-node N -m minisam.cli.main train …

torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; SLURM and Kubernetes start torchrun, or set
the same variables.  Every process runs the same code on its share of a batch or of a list, and the first one, rank 0,
writes the files.  They communicate by gloo on CPUs and by nccl on GPUs.  Without these variables there is one
process, rank 0 of 1, and these functions have no effect.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from minisam.errors import MinisamError

T = TypeVar("T")
PATIENCE = timedelta(hours=2)
"""How long a process waits for the others, for example while the first one writes."""
_store: Store | None = None


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that torchrun started, and leave them at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    global _store
    _store, index, count = next(rendezvous("env://", timeout=PATIENCE))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=_store, rank=index, world_size=count, timeout=PATIENCE)
    yield
    dist.destroy_process_group()  # after an error the others may be waiting and would not respond
    _store = None


def was_first_to_fail() -> bool:
    """Whether this process is the first to call this, which then reports the error."""
    try:
        return _store is None or _store.add("failed", 1) == 1
    except RuntimeError:  # the process that kept the count is gone, and has failed before
        return False


def was_lost(error: BaseException) -> bool:
    """Whether this error was caused by another process that no longer responds."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes files and draws the progress bar."""
    return rank() == 0


def own_device(name: str) -> str:
    """`cuda` becomes one GPU for each process of a machine; other names do not change."""
    if name != "cuda" or world_size() == 1:
        return name
    index = int(os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        raise MinisamError(f"process {index} of this machine has no GPU; start {torch.cuda.device_count()}")
    torch.cuda.set_device(index)
    return f"cuda:{index}"


def own_rows(count: int) -> slice:
    """The rows of a batch of `count` that this process works on; raises MinisamError if a process would have none."""
    if count < world_size():
        raise MinisamError(f"{world_size()} processes cannot share a batch of {count}; start fewer")
    return slice(count * rank() // world_size(), count * (rank() + 1) // world_size())


def own_items(items: Sequence[T]) -> Sequence[T]:
    """Every n-th item of a list from this process's rank on, for n processes."""
    return items[rank() :: world_size()]


def gathered(value: T) -> list[T]:
    """The values of all processes, by rank, in each of them.  All processes must call it."""
    if world_size() == 1:
        return [value]
    values: list[T | None] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values  # pyright: ignore[reportReturnType]


def as_the_first_sees(value: T) -> T:
    """The first process's value, in all of them; for values that may change meanwhile, for example existing files."""
    return gathered(value)[0]


def in_turn(shares: Iterable[Sequence[T]]) -> list[T]:
    """The list whose `own_items` these are, by rank."""
    shares = list(shares)
    return [share[turn] for turn in range(max(map(len, shares))) for share in shares if turn < len(share)]


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Add the gradients of all processes, in one message.

    A parameter that has a gradient in one of them has it in all afterwards.
    """
    if world_size() == 1:
        return
    has_one = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    message = torch.cat([has_one, *(gradient.flatten() for gradient in gradients)])
    dist.all_reduce(message)
    somewhere, *sums = message.split([len(parameters), *(p.numel() for p in parameters)])
    for parameter, found, total in zip(parameters, somewhere.tolist(), sums, strict=True):
        parameter.grad = total.view_as(parameter) if found else None


def summed(values: Tensor) -> Tensor:
    """The sum over all processes."""
    if world_size() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def all_rows(own: Tensor, rows: slice, count: int) -> Tensor:
    """The `count` rows of a batch of which `own` are those at `rows`; the gradient goes into `own` alone."""
    if world_size() == 1:
        return own
    whole = own.new_zeros(count, *own.shape[1:])
    whole[rows] = own.detach()
    dist.all_reduce(whole)
    return torch.cat([whole[: rows.start], own, whole[rows.stop :]])


@torch.no_grad()
def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors with those of the first process: not every processor draws the same weights to the last bit."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def wait_for_all() -> None:
    """Return when every process has called this; files written by the first then exist for all."""
    if world_size() > 1:
        dist.barrier()
