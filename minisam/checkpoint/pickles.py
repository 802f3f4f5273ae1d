"""Checks what a pickle would build, without building it.

`torch.load(weights_only=True)` runs no code from a file, but it builds the objects that the file describes:
`bytearray(2e9)` needs only 30 bytes in the file, and the hash of a key made of nested tuples, each used twice in the
next, takes exponential time.  Here the opcodes are executed with stand-ins instead of objects, and only these are
accepted:

    dictionaries with names and numbers as keys, lists, tuples, numbers, strings, None
    OrderedDict(), torch.Size and tensors, on storages that are no larger than the file
"""

from __future__ import annotations

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from dataclasses import dataclass
from typing import Any, BinaryIO

from torch._weights_only_unpickler import _get_allowed_globals

from minisam.errors import CheckpointError

CALLED = {
    "collections.OrderedDict",
    "torch.Size",
    "torch.device",
    "torch.serialization._get_layout",
    "torch._utils._rebuild_meta_tensor_no_storage",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
}
ALONE = "save the network's state_dict() alone"
COUNTER = "collections.Counter"  # used by learning-rate schedules
PLAIN = (str, int, float, bool, type(None))
NUMBERS = {"BININT", "BININT1", "BININT2", "BINFLOAT", "LONG1", "BINUNICODE", "SHORT_BINSTRING"}
CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class Named:
    """A stand-in for a class or a function."""

    name: str


@dataclass(frozen=True, eq=False)
class Built:
    """A stand-in for an object made by a class or function of this name."""

    name: str


LEFT_TO_TORCH = Named("what torch refuses")


def check_pickle(file: BinaryIO, size: int) -> object:
    """Follow the pickle at a file's position, in a file of `size` bytes, to its end; returns its value's stand-in.

    A name that torch itself refuses gives LEFT_TO_TORCH, and the rest is not followed.

    Raises CheckpointError if it would build anything but a state, or more than the file could fill.
    """
    scan = Scan(size)
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "GLOBAL" and full_name(str(argument)) not in _get_allowed_globals():
                return LEFT_TO_TORCH
            if opcode.name == "STOP":
                break
            scan.follow(opcode.name, argument)
        return scan.stack.pop()
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"is a truncated or damaged PyTorch file ({type(error).__name__})") from None


class Scan:
    """A stack of stand-ins; the machine is torch's own (torch/_weights_only_unpickler.py)."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[object, int] = {}
        self.claimed = 0

    def follow(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in NUMBERS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "GLOBAL":
            stack.append(Named(full_name(argument)))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append(Built(name.removeprefix("EMPTY_").lower()))
        elif name == "MARK":
            self.outer.append(stack)
            self.stack = []
        elif name == "TUPLE":
            items = tuple(self.to_mark())
            self.stack.append(items)
        elif name in TUPLES:
            count = TUPLES[name]
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "APPEND":
            stack.pop()
        elif name == "APPENDS":
            self.to_mark()
        elif name == "SETITEM":
            stack.pop()
            check_key(stack.pop())
        elif name == "SETITEMS":
            for key in self.to_mark()[::2]:
                check_key(key)
        elif name == "BINPERSID":
            stack.append(self.storage(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(result_of(function, arguments))
        elif name == "BUILD":
            stack.pop()
            if not (isinstance(stack[-1], Built) and stack[-1].name == "collections.OrderedDict"):
                refuse(name_of(stack[-1]))
        elif name != "PROTO":
            refuse(name)

    def to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def storage(self, identity: Any) -> Built:
        """identity: ("storage", its class, a key, a device, the number of elements), and None in old files."""
        if not isinstance(identity, tuple) or not all(isinstance(part, (*PLAIN, Named)) for part in identity):
            refuse("a storage without a plain name")
        _, _, key, _, numbers = identity[:5]
        if identity[5:] not in ((), (None,)) or not isinstance(numbers, int):
            refuse("a view of a storage")
        before = self.storages.setdefault(key, 0)
        self.storages[key] = max(numbers, before)
        self.claimed += self.storages[key] - before
        if self.claimed > self.size:
            raise CheckpointError(f"is damaged: it claims {self.claimed} numbers in {self.size} bytes")
        return Built("storage")


def full_name(argument: str) -> str:
    """module.name in Python 3, for "module name" as protocol 2 writes it, with Python 2's names."""
    module, name = argument.split(" ", 1)
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


def check_key(key: object) -> None:
    if not isinstance(key, PLAIN):
        refuse(f"a {name_of(key)} as a key")


def result_of(function: object, arguments: object) -> Built:
    """A stand-in for what the call would return.  Raises CheckpointError for a function that tensors do not need."""
    name = function.name if isinstance(function, Named) else ""
    of_dictionary = isinstance(arguments, tuple) and [name_of(each) for each in arguments] == ["dict"]
    if not (name in CALLED or (name == COUNTER and of_dictionary)):
        refuse(name or name_of(function))
    if name == "collections.OrderedDict" and arguments != ():
        refuse(name)
    return Built(name)


def name_of(stand_in: object) -> str:
    return stand_in.name if isinstance(stand_in, (Named, Built)) else type(stand_in).__name__


def refuse(what: str) -> None:
    raise CheckpointError(f"holds a pickle of more than tensors ({what[:80]}); none of it was run; {ALONE}")
