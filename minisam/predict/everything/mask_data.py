"""Lists, arrays and tensors of the same length under one name each, filtered and joined together."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor


class MaskData:
    """Columns of N entries with the data of N masks.  Each is a list, an array or a tensor.

    minisam's own generator keeps its masks in `minisam.predict.everything.candidates.Candidates`.

    Raises TypeError for a column of another type.
    """

    def __init__(self, **kwargs: Any) -> None:
        for value in kwargs.values():
            check_column(value)
        self._stats: dict[str, Any] = dict(**kwargs)

    def __setitem__(self, key: str, item: Any) -> None:
        check_column(item)
        self._stats[key] = item

    def __delitem__(self, key: str) -> None:
        del self._stats[key]

    def __getitem__(self, key: str) -> Any:
        return self._stats[key]

    def items(self) -> ItemsView[str, Any]:
        return self._stats.items()

    def filter(self, keep: Tensor) -> None:
        """Keep the entries that a bool tensor [N] sets, or those at the indices of another, in its order."""
        for key, value in self._stats.items():
            self._stats[key] = kept(value, keep)

    def cat(self, new_stats: MaskData) -> None:
        """Append the entries of another; a missing column is copied."""
        for key, value in new_stats.items():
            if self._stats.get(key) is None:
                self._stats[key] = deepcopy(value)
            else:
                self._stats[key] = joined(self._stats[key], value)

    def to_numpy(self) -> None:
        """Turn every tensor into an array."""
        for key, value in self._stats.items():
            if isinstance(value, Tensor):
                self._stats[key] = value.detach().cpu().numpy()


def check_column(value: Any) -> None:
    if not isinstance(value, list | np.ndarray | Tensor):
        raise TypeError(f"MaskData holds lists, arrays and tensors, got {type(value).__name__}")


def kept(column: Any, keep: Tensor) -> Any:
    """The entries of a column that `keep` selects, a bool mask [n] or indices, on the column's own device."""
    if isinstance(column, Tensor):
        return column[keep.to(column.device)]
    if isinstance(column, np.ndarray):
        return column[keep.detach().cpu().numpy()]
    indices = keep.nonzero()[:, 0] if keep.dtype == torch.bool else keep
    return None if column is None else [column[index] for index in indices.tolist()]


def joined(column: Any, more: Any) -> Any:
    if isinstance(column, Tensor):
        return torch.cat([column, more])
    return np.concatenate([column, more]) if isinstance(column, np.ndarray) else column + deepcopy(more)


def batch_iterator(batch_size: int, *args: Any) -> Iterator[list[Any]]:
    """Sequences of one length, `batch_size` entries of each at a time.  Raises ValueError for other lengths."""
    if not args or any(len(arg) != len(args[0]) for arg in args):
        raise ValueError("batch_iterator takes sequences of one length")
    for start in range(0, len(args[0]), batch_size):
        yield [arg[start : start + batch_size] for arg in args]
