"""Words of a command after expansion: their characters, each with the place where it stands in the text."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Piece:
    """Characters of a word and where they stand; text is None where only running gives it; exact: they stand there as they
    are; loose: from a variable without quotes, so that blanks separate words; use: where a variable that a variable holds
    is written in it."""

    text: str | None
    start: int
    end: int
    exact: bool = True
    loose: bool = False
    use: tuple[int, int] | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Where the characters are written among their neighbours."""
        return self.use or (self.start, self.end)


@dataclass(frozen=True)
class Word:
    """A word of a command after expansion, and where it is written."""

    pieces: tuple[Piece, ...]
    start: int
    end: int

    @property
    def text(self) -> str | None:
        """The word, or None where only running gives it."""
        return None if any(piece.text is None for piece in self.pieces) else self.beginning

    @property
    def beginning(self) -> str:
        """The word up to what is not known."""
        known = []
        for piece in self.pieces:
            if piece.text is None:
                break
            known.append(piece.text)
        return "".join(known)

    def after(self, count: int) -> Word:
        """The word without its first ``count`` characters, which are known."""
        pieces = []
        for piece in self.pieces:
            size = 0 if piece.text is None else len(piece.text)
            if piece.text is None or count < size:
                start = piece.start + count * piece.exact
                pieces.append(replace(piece, text=piece.text and piece.text[count:], start=start))
            count = max(0, count - size)
        return Word(tuple(pieces), pieces[0].start if pieces else self.end, self.end)
