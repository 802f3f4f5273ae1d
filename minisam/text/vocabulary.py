"""The words of PartWorld: everything that a caption of the training world can say, from the world's own tables.

    caption = <colour> <texture> <part> of the <object>

The list is short and fixed; `minisam text words` prints it.
"""

from __future__ import annotations

from pathlib import Path

from minisam.data.partworld.captions import GREYS, HUES
from minisam.data.partworld.worlds import WORLDS, World

FILE = Path(__file__).parent / "vocabulary.txt"
COLOURS = GREYS + HUES


def textures(world: World = WORLDS["train"]) -> list[str]:
    """Names of the world's textures as captions write them."""
    return sorted({name.replace("_", " ") for name in world.textures})


def things(world: World = WORLDS["train"]) -> list[str]:
    """Every "<object>" and "<part> of the <object>" that can be the subject of a caption."""
    names = set()
    for template in world.templates:
        names.add(template.name)
        parts = (piece for piece in template.pieces if piece.level and not piece.joins)
        names |= {f"{piece.name} of the {template.name}" for piece in parts}
    return sorted(names)


def words_of(world: World = WORLDS["train"]) -> list[str]:
    """All words of all captions, in alphabetical order."""
    return sorted(
        {word for phrase in (*COLOURS, *textures(world), *things(world)) for word in phrase.split()}
    )


def read_words(path: Path = FILE) -> list[str]:
    return path.read_text(encoding="utf-8").split()
