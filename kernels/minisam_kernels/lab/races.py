"""Do programs of one launch disturb each other?  A GPU runs them in any order, and many at once.

    race    two programs access one address, and one of them stores there without an atomic operation

The interpreter runs programs one after the other, in which a race always has the same winner. Here the addresses of
every program are recorded, and compared at the end of each launch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from minisam_kernels.lab.memory_guard import Access, watched_interpreter

Program = tuple[int, int, int]


class RaceError(Exception):
    """Two programs of a launch access one address, and one of them stores there."""


@dataclass
class Races:
    """The accesses of one launch: for each kind, addresses and the number of the program at each."""

    tensors: list[Tensor] = field(default_factory=list)
    programs: dict[Program, int] = field(default_factory=dict)
    found: dict[str, list[tuple[np.ndarray, int]]] = field(default_factory=dict)

    def begin(self, tensors: list[Tensor]) -> None:
        """The start of a launch with these tensors. Raises RaceError for the launch before."""
        self.end()
        self.tensors = tensors

    def note(self, access: Access) -> None:
        number = self.programs.setdefault(access.program, len(self.programs))
        self.found.setdefault(access.kind, []).append((access.addresses.astype(np.int64), number))

    def end(self) -> None:
        """Raises RaceError for the first address of a race in this launch, and forgets its accesses."""
        stores, programs = self._all("store"), list(self.programs)
        others = {"load": self._all("load"), "atomic": self._all("atomic")}
        self.programs, self.found = {}, {}
        addresses, numbers = stores
        if not len(addresses) or len(programs) < 2:
            return
        order = np.lexsort((numbers, addresses))
        addresses, numbers = addresses[order], numbers[order]
        again = np.flatnonzero((addresses[1:] == addresses[:-1]) & (numbers[1:] != numbers[:-1]))
        if len(again):
            at = int(again[0])
            self._refuse(int(addresses[at]), "store", programs[numbers[at]], programs[numbers[at + 1]])
        for kind, (touched, by) in others.items():
            place = np.minimum(np.searchsorted(addresses, touched), len(addresses) - 1)
            racing = np.flatnonzero((addresses[place] == touched) & (numbers[place] != by))
            if len(racing):
                at = int(racing[0])
                self._refuse(int(touched[at]), kind, programs[numbers[place[at]]], programs[by[at]])

    def _all(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """All addresses of a kind, and the program at each."""
        parts = self.found.get(kind, [])
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        numbers = [np.full(addresses.size, number) for addresses, number in parts]
        return np.concatenate([addresses.ravel() for addresses, _ in parts]), np.concatenate(numbers)

    def _refuse(self, address: int, kind: str, one: Program, other: Program) -> None:
        where = next((text for tensor in self.tensors if (text := place_in(tensor, address))), "an address")
        if kind == "store":
            raise RaceError(
                f"programs {one} and {other} both store to {where}; a GPU may run them in any order"
            )
        does = {"load": "loads", "atomic": "updates"}[kind]
        raise RaceError(
            f"program {one} stores to {where}, which program {other} {does}; a GPU may run them in any order"
        )


def place_in(tensor: Tensor, address: int) -> str:
    """ "number 12 of a tensor [7, 13]", counted in its memory; "" if the address is elsewhere."""
    number = (address - tensor.data_ptr()) // tensor.element_size()
    if not 0 <= number < tensor.numel():
        return ""
    return f"number {number} of a tensor {list(tensor.shape)}"


@contextmanager
def checked_races() -> Iterator[None]:
    """Within this context, interpreted launches must have no race. Raises RaceError."""
    races = Races()
    with watched_interpreter(races.begin, races.note):
        yield
        races.end()
