"""What one warp executes, counted in the machine code: outside all loops, and in one turn of each loop.

    a loop      from a label to the last branch back to it; only innermost loops are counted separately
    a warp      32 threads; its instructions are issued one after the other, whether or not all threads take part
    FLOP        by the shape in the name: HMMA.16816 is 2·16·8·16 for a warp, HGMMA.64x64x16 2·64·64·16 for four warps
    bytes       of a load from global memory or a store to it: its width times 32 threads, masked ones included

An instruction behind a branch that is not taken counts as well: where a branch depends on data, a count is too high.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

WARP, WARPS_OF_WGMMA = 32, 4
LINE = re.compile(
    r"^(?P<label>\.L_x_\d+):|^\s*/\*[0-9a-f]{4,}\*/\s+(?P<instruction>[^.\s][^;]*);", re.MULTILINE
)
BRANCH = re.compile(r"\bBRA\b.*\((\.L_x_\d+)\)")
OPCODE = re.compile(r"^(?:@!?U?P\d+\s+)?(?P<opcode>[A-Z][A-Z0-9_]*)(?P<rest>\S*)")
MMA_SHAPES = {"16816": (16, 8, 16), "1688": (16, 8, 8), "16832": (16, 8, 32)}


@dataclass(frozen=True)
class Counts:
    """Of one warp."""

    instructions: int = 0
    exponentials: int = 0
    wgmma_flop: int = 0
    mma_flop: int = 0
    bytes: int = 0
    bulk_loads: int = 0
    barriers: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            **{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        )


@dataclass(frozen=True)
class Executed:
    """Outside of loops, and one turn of each innermost loop, by address; nested loops' own code counts as outside."""

    outside: Counts
    loops: tuple[Counts, ...]

    @staticmethod
    def from_json(record: dict[str, Any]) -> Executed:
        """From the output of asdict after JSON."""
        return Executed(Counts(**record["outside"]), tuple(Counts(**loop) for loop in record["loops"]))


def count(instructions: Iterable[str]) -> Counts:
    return sum((count_one(instruction) for instruction in instructions), Counts())


def count_one(instruction: str) -> Counts:
    found = OPCODE.match(instruction)
    if found is None:
        return Counts()
    opcode, rest = found["opcode"], found["rest"]
    return Counts(
        instructions=1,
        exponentials=int(opcode == "MUFU"),
        wgmma_flop=flop_of_wgmma(rest) if opcode.endswith("GMMA") else 0,
        mma_flop=flop_of_mma(rest) if opcode.endswith("MMA") and not opcode.endswith("GMMA") else 0,
        bytes=WARP * bits(rest) // 8 if opcode in ("LDG", "LDGSTS", "STG") else 0,
        bulk_loads=int(opcode == "UTMALDG"),
        barriers=int(opcode == "BAR"),
    )


def flop_of_wgmma(modifiers: str) -> int:
    """A quarter of ".64x64x16": four warps compute it together."""
    found = re.search(r"(\d+)x(\d+)x(\d+)", modifiers)
    return 2 * int(found[1]) * int(found[2]) * int(found[3]) // WARPS_OF_WGMMA if found else 0


def flop_of_mma(modifiers: str) -> int:
    found = re.search(r"\.(\d{4,5})\b", modifiers)
    rows, columns, depth = MMA_SHAPES.get(found[1] if found else "", (0, 0, 0))
    return 2 * rows * columns * depth


def bits(modifiers: str) -> int:
    """ ".E.BYPASS.128" is 128, ".E.U16" 16, ".E" 32."""
    named = [int(part.lstrip("US")) for part in modifiers.split(".") if re.fullmatch(r"[US]?\d+", part)]
    return named[0] if named else 32


def read_instructions(disassembly: str) -> Executed:
    """From what nvdisasm prints, labels included."""
    labels: dict[str, int] = {}
    instructions: list[str] = []
    for found in LINE.finditer(disassembly):
        if found["label"]:
            labels[found["label"]] = len(instructions)
        else:
            instructions.append(found["instruction"])
    ends: dict[int, int] = {}
    for place, instruction in enumerate(instructions):
        found = BRANCH.search(instruction)
        if found and labels.get(found[1], place + 1) < place:
            ends[labels[found[1]]] = place + 1
    spans = [(start, end) for start, end in sorted(ends.items()) if not is_around_another(start, end, ends)]
    inside = {place for start, end in spans for place in range(start, end)}
    outside = (text for place, text in enumerate(instructions) if place not in inside)
    return Executed(count(outside), tuple(count(instructions[start:end]) for start, end in spans))


def is_around_another(start: int, end: int, ends: dict[int, int]) -> bool:
    return any((start, end) != other and start <= other[0] and other[1] <= end for other in ends.items())
