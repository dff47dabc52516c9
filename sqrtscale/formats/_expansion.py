"""The commands of a script with its variables put in, as far as the script itself says what they are.

Every character keeps its place, so that a value that stands in a variable is changed where the variable is assigned.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ._document import end_of, refuse
from ._shell import Part, RawWord, Statement, statements
from ._source import calculated
from ._words import Piece, Word

MOST_COPIED = 500_000  # characters that variables put in, all together
_BLANK = re.compile(r"\s")
_NAME = re.compile(r"\w*")
_SPLIT = re.compile(r"\S+")
_ARITHMETIC = re.compile(r"[\w\s()+*/-]+")
_WHOLE = re.compile(r"[0-9]{1,15}")
_IN_ARITHMETIC = re.compile(r"\$\{?(\w+)\}?|(?<!/)/(?!/)")
_OPENS = {"if": True, "for": True, "while": True, "until": True, "case": True, "select": True, "fi": False, "done": False,
          "esac": False}
_KEYWORDS = {"if", "then", "else", "elif", "while", "until", "do", "fi", "done", "esac", "!", "{", "}", "time"}
_DECLARING = {"export", "declare", "local", "readonly", "typeset"}
_SETTING = {"read", "unset", "let", "mapfile", "readarray", "getopts"}


Held = list[Piece] | list[Word]  # by a variable: characters, or the words of an array


@dataclass
class Script:
    """commands: the words of each; made_of: start of an arithmetic expression -> starts of the values in it; notes: what was
    taken for granted."""

    commands: list[list[Word]]
    made_of: dict[int, set[int]]
    notes: list[str]

    def origins(self, start: int) -> set[int]:
        """Where the values start that a value is made of, itself among them."""
        origins: set[int] = set()
        waiting = [start]
        while waiting:
            at = waiting.pop()
            if at not in origins:
                origins.add(at)
                waiting += self.made_of.get(at, ())
        return origins


def expanded(text: str) -> Script:
    """The commands of a text; raises FieldError where a quote does not end or variables grow without end."""
    evaluation = _Evaluation(text)
    commands = [words for statement in evaluation.statements if (words := evaluation.run(statement))]
    return Script(commands, evaluation.made_of, list(dict.fromkeys(evaluation.notes)))


class _Evaluation:
    def __init__(self, text: str):
        self.text = text
        self.statements = statements(text)
        self.variables: dict[str, Held | None] = {}  # None where only running tells
        self.doubtful: set[str] = set()
        self.made_of: dict[int, set[int]] = {}
        self.notes: list[str] = []
        self.copied = 0
        self.depth = 0
        for statement in self.statements:
            self.doubtful |= set(self._doubtful(statement))

    def _doubtful(self, statement: Statement) -> Iterator[str]:
        """Names that a statement sets only perhaps, or by something that is not here."""
        for word in self._body(statement):
            name = word.assigned()
            if name and (self.depth or statement.depends):
                yield name[1]
        first, *others = [_literal(word) for word in statement.words] or [""]
        if first in ("for", "select") and others:
            yield others[0]
        elif first in _SETTING:
            yield from (other[:end_of(_NAME, other, 0)] for other in others)

    def _body(self, statement: Statement) -> list[RawWord]:
        """The words of a statement without the shell's own before it; keeps count of open blocks."""
        words = statement.words
        while words and (word := _literal(words[0])) in {*_OPENS, *_KEYWORDS}:
            if word in _OPENS:
                self.depth = max(0, self.depth + (1 if _OPENS[word] else -1))
            if word in ("for", "select", "case"):
                return []
            words = words[1:]
        return words

    def run(self, statement: Statement) -> list[Word]:
        """The words of the command that a statement runs; an assignment is carried out and gives none."""
        words = self._body(statement)
        if words and _literal(words[0]) in _DECLARING and all(word.assigned() or _literal(word)[:1] in ("-", "") or
                                                               _literal(word).isidentifier() for word in words[1:]):
            words = [word for word in words[1:] if word.assigned()]
        assignments = [(word, match) for word in words if (match := word.assigned())]
        if words and len(assignments) == len(words):
            for word, match in assignments:
                self._assign(word, match, statement.array if word is words[-1] else None)
            return []
        return [new for word in words for new in self._words(word)]

    def _assign(self, word: RawWord, match: re.Match[str], array: list[RawWord] | None) -> None:
        name, more = match[1], match[2]
        old = self.variables.get(name, []) if more else []
        old_words = _words_in(old)
        if name in self.doubtful or old is None:
            self.variables[name] = None
        elif array is not None:
            items = [new for item in array for new in self._words(item)]
            for old_word in old_words:
                self._copy(old_word.pieces)
            self.variables[name] = [*old_words, *items]
        elif old_words:
            self.variables[name] = None
        else:
            old_pieces = _pieces_in(old)
            self._copy(old_pieces)
            first = word.parts[0]
            value = replace(first, text=first.text[match.end():], start=first.start + match.end())
            self.variables[name] = [*old_pieces, *(piece for part in (value, *word.parts[1:]) for piece in self._held(part))]

    def _held(self, part: Part) -> list[Piece]:
        """What a part of an assignment adds to the variable."""
        pieces = [piece for piece in self._pieces(part) if piece.text != ""]
        words = any(_BLANK.search(piece.text or "") for piece in pieces)
        use = None if part.kind == "text" else (part.start, part.end)
        return [replace(piece, loose=False, use=piece.use if words else use) for piece in pieces]

    def _pieces(self, part: Part) -> list[Piece]:
        if part.kind == "text":
            return [Piece(part.text, part.start, part.end, self.text[part.start:part.end] == part.text)]
        if part.kind == "arithmetic":
            result = self._calculated(part)
            return [Piece(None if result is None else str(result), part.start, part.end, False)]
        held = self.variables.get(part.text) if part.kind == "variable" else None
        unset = part.kind == "variable" and part.text not in self.variables
        if unset and part.default is not None and part.text not in self.doubtful:
            self.notes.append(f"{part.text} = {part.default.text} unless it is set before the script starts.")
            held = [Piece(part.default.text, part.default.start, part.default.end)]
        if held is None or _words_in(held):
            return [Piece(None, part.start, part.end, False)]
        pieces = _pieces_in(held)
        self._copy(pieces)
        return [replace(piece, loose=not part.quoted) for piece in pieces]

    def _copy(self, pieces: Iterable[Piece]) -> None:
        self.copied += sum(1 + len(piece.text or "") for piece in pieces)
        if self.copied > MOST_COPIED:
            raise refuse(self.text, "puts its variables together to more than any command: give the training's command alone")

    def _words(self, word: RawWord) -> list[Word]:
        """What a word becomes: one word, none, or several where a variable holds several."""
        if len([part for part in word.parts if part.text or part.kind != "text"]) == 1:
            array = next((part for part in word.parts if part.kind == "array"), None)
            words = _words_in(self.variables.get(array.text)) if array else []
            for held_word in words:
                self._copy(held_word.pieces)
            if words:
                return words
        pieces = [piece for part in word.parts for piece in self._pieces(part)]
        if not pieces:  # a variable that holds nothing
            return []
        if not any(piece.loose for piece in pieces):
            return [Word(tuple(piece for piece in pieces if piece.text != ""), word.start, word.end)]
        groups: list[list[Piece]] = [[]]
        for piece in pieces:
            if piece.text is None or not piece.loose:
                groups[-1].append(piece)
                continue
            if piece.text[:1].isspace():
                groups.append([])
            for i, match in enumerate(_SPLIT.finditer(piece.text)):
                if i:
                    groups.append([])
                start = piece.start + match.start() if piece.exact else piece.start
                end = piece.start + match.end() if piece.exact else piece.end
                groups[-1].append(Piece(match[0], start, end, piece.exact, use=piece.use))
            if piece.text[-1:].isspace():
                groups.append([])
        groups = [group for group in groups if group]
        if len(groups) == 1:
            return [Word(tuple(groups[0]), word.start, word.end)]
        return [Word(tuple(group), group[0].place[0], group[-1].place[1]) for group in groups]

    def _calculated(self, part: Part) -> int | None:
        """The whole number that $((...)) is, where every name in it is known."""
        expression = _IN_ARITHMETIC.sub(lambda match: match[1] or "//", part.text)
        if not _ARITHMETIC.fullmatch(expression):
            return None
        try:
            tree = ast.parse(expression.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        names = {}
        for name in (node.id for node in ast.walk(tree) if isinstance(node, ast.Name)):
            pieces = _pieces_in(self.variables.get(name))
            if len(pieces) == 1 and pieces[0].text and _WHOLE.fullmatch(pieces[0].text):
                names[name] = int(pieces[0].text)
                self.made_of.setdefault(part.start, set()).add(pieces[0].start)
        result = calculated(tree, names)
        return result if isinstance(result, int) and result >= 0 else None


def _words_in(held: Held | None) -> list[Word]:
    """The words of an array; none of anything else."""
    return [item for item in held or () if isinstance(item, Word)]


def _pieces_in(held: Held | None) -> list[Piece]:
    """The characters of a variable that is no array."""
    return [item for item in held or () if isinstance(item, Piece)]


def _literal(word: RawWord) -> str:
    """The text of a word without quotes and expansions, or "" for any other."""
    return word.parts[0].text if len(word.parts) == 1 and word.parts[0].kind == "text" and not word.parts[0].quoted else ""
