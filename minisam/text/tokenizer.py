"""Text into numbers: one token per word, from a fixed list.

    "Red striped wheel!"  ->  [start] red striped wheel [end]  ->  [227, 146, 178, 221, 228, 0, 0, …]

0 is padding, words are numbered from 1 in the order of the list, and the end token has the highest number:
`tokens.argmax()` finds it, as in CLIP.  CLIP splits rare words into byte-pair tokens. Here, a word outside the list
never occurred in training, and its embedding would have no meaning. It is an error instead, which suggests similar
words.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import torch
from torch import Tensor

from minisam.errors import PromptError
from minisam.text.vocabulary import read_words

PADDING = 0
WORD = re.compile(r"[^\W_]+")


class Tokenizer:
    """Texts <-> tokens.  `words` without repeats; `context_length` counts the start and the end token."""

    def __init__(self, words: Sequence[str] | None = None, context_length: int = 16) -> None:
        self.words = list(read_words() if words is None else words)
        self.number = {word: index for index, word in enumerate(self.words, start=1)}
        self.context_length = context_length
        self.start, self.end = len(self.words) + 1, len(self.words) + 2

    @property
    def vocab_size(self) -> int:
        """Padding, the words, start and end."""
        return len(self.words) + 3

    def encode(self, text: str) -> list[int]:
        """Start, the words of the text in small letters and without punctuation, end.

        Raises PromptError for an empty text, an unknown word, and more words than the context holds.
        """
        words = WORD.findall(text.lower())
        if not words:
            raise PromptError(
                f"the text {text!r} has no words; describe the object, as in 'striped red wheel'"
            )
        room = self.context_length - 2
        if len(words) > room:
            raise PromptError(f"the text has {len(words)} words and only {room} fit; shorten it")
        for word in words:
            if word not in self.number:
                alike = difflib.get_close_matches(word, self.words, 3, 0.7)
                instead = f"; known words like it: {', '.join(alike)}" if alike else ""
                raise PromptError(
                    f"the word {word!r} is not one of the {len(self.words)} known words"
                    f"{instead} (`minisam text words` prints them all)"
                )
        return [self.start, *(self.number[word] for word in words), self.end]

    def decode(self, tokens: Sequence[int]) -> str:
        """The words between start and end, separated by spaces."""
        return " ".join(self.words[token - 1] for token in tokens if PADDING < token < self.start)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """B texts -> tokens [B, context_length] int64, padded at the end."""
        tokens = torch.full((len(texts), self.context_length), PADDING)
        for row, text in zip(tokens, texts, strict=True):
            encoded = self.encode(text)
            row[: len(encoded)] = torch.tensor(encoded)
        return tokens
