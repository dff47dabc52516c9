"""Shell text as statements of words, in one pass: quotes, comments, continued lines, here-documents; nothing is executed.

A word is a list of parts: what stands there literally, and what an expansion would put there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ._document import at_line, end_of, refuse

LONGEST_ARITHMETIC = 500
_LITERAL = re.compile(r"[^\s'\"\\$`;&|()<>]+")
_BLANKS = re.compile(r"[ \t\r]+")
_COMMENT = re.compile(r"[^\n]*")
_CONTINUED = re.compile(r"\\[ \t]*+\r?\n")  # blanks after the backslash are a slip of whoever pasted it
_IN_QUOTES = re.compile(r'[^"\\$`]+')
_OPERATOR = re.compile(r"&&|\|\||;;|[;&|()\n]")
_REDIRECTION = re.compile(r"<<<|<<-?|&>>?|>>|[<>]&|>\||[<>]")
_NAME = re.compile(r"[A-Za-z_]\w*+")
_BRACED = re.compile(r"\{([A-Za-z_]\w*+)(?:(\[[@*]\])|:?-([^{}\"'$`\\]*+))?\}")
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*+)(\+?)=")


@dataclass(frozen=True)
class Part:
    """A part of a word: ``kind`` is "text" (``text`` stands there), "variable" (``text`` is its name), "array", "arithmetic"
    (``text`` is the expression) or "unknown"; default: what a variable is where nothing sets it."""

    kind: str
    text: str
    start: int
    end: int
    quoted: bool = False
    default: Part | None = None


@dataclass
class RawWord:
    """A word before its expansion, with its quotes from start to end."""

    start: int
    end: int
    parts: list[Part] = field(default_factory=list)

    def assigned(self) -> re.Match[str] | None:
        """NAME= or NAME+= at the start of the word, or None."""
        first = self.parts[0] if self.parts else None
        return ASSIGNMENT.match(first.text) if first and first.kind == "text" and first.start == self.start else None


@dataclass
class Statement:
    """Words up to an operator. depends: true behind && or ||; array: the items of the array that its last word assigns."""

    words: list[RawWord] = field(default_factory=list)
    depends: bool = False
    array: list[RawWord] | None = None


def statements(text: str) -> list[Statement]:
    """The statements of a script, or of a pasted command; raises FieldError where a quote or a bracket does not end."""
    return _Lexer(text).statements


class _Lexer:
    def __init__(self, text: str):
        self.text = text
        self.at = 0
        self.statements: list[Statement] = [Statement()]
        self.word: RawWord | None = None
        self.array: list[RawWord] | None = None
        self.redirected = ""  # the operator whose file comes next
        self.documents: list[str] = []  # ends of the here-documents that follow
        while self.at < len(text):
            self.step()
        self.end_word()
        if self.array is not None:
            raise self.unclosed("(", len(text))

    def unclosed(self, mark: str, at: int) -> Exception:
        return refuse(self.text, f"is not a command: {mark} at {at_line(self.text, at)} is not closed")

    def add(self, kind: str, text: str, start: int, end: int, quoted: bool = False, default: Part | None = None) -> None:
        """One more part of the current word."""
        self.word = self.word or RawWord(start, end)
        self.word.parts.append(Part(kind, text, start, end, quoted, default))
        self.word.end = self.at = end

    def end_word(self) -> None:
        if self.word is None:
            return
        word, self.word = self.word, None
        if self.redirected:
            if self.redirected in ("<<", "<<-"):
                self.documents.append("".join(part.text for part in word.parts))
            self.redirected = ""
        elif self.array is not None:
            self.array.append(word)
        else:
            self.statements[-1].words.append(word)

    def step(self) -> None:
        text, at = self.text, self.at
        mark = text[at]
        literal = _LITERAL.match(text, at)
        if literal and not (mark == "#" and self.word is None):
            self.add("text", literal[0], at, literal.end())
        elif mark in " \t\r":
            self.end_word()
            self.at = end_of(_BLANKS, text, at)
        elif mark == "#":
            self.at = end_of(_COMMENT, text, at)
        elif mark == "\\":
            continued = _CONTINUED.match(text, at)
            if continued:
                self.at = continued.end()
            else:
                self.add("text", text[at + 1:at + 2], at, min(at + 2, len(text)), quoted=True)
        elif mark == "'":
            self.single_quotes(at, at + 1)
        elif mark == '"':
            self.double_quotes(at)
        elif mark == "$":
            self.expansion(quoted=False)
        elif mark == "`":
            self.unknown(at, text.find("`", at + 1))
        elif mark.isspace() and mark != "\n":  # no blank for a shell
            self.add("text", mark, at, at + 1)
        else:
            self.operator()

    def operator(self) -> None:
        text, at = self.text, self.at
        redirection = _REDIRECTION.match(text, at)
        if redirection:
            if self.word and all(part.text.isdecimal() for part in self.word.parts):  # 2> file
                self.word = None
            self.end_word()
            self.redirected, self.at = redirection[0], redirection.end()
            if text.startswith("(", self.at):  # <(command)
                self.word = RawWord(at, at)
                self.unknown(at, self.closing(self.at + 1, "(", ")"))
            return
        operator = text[at:end_of(_OPERATOR, text, at)]
        if operator == "(" and self.word and self.array is None and (name := self.word.assigned()) and \
                name.end() == sum(len(part.text) for part in self.word.parts):
            self.end_word()
            self.array, self.at = [], at + 1
            return
        self.end_word()
        self.at = at + len(operator)
        if self.array is not None:
            if operator == ")":
                self.statements[-1].array, self.array = self.array, None
            return
        self.redirected = ""
        self.statements.append(Statement(depends=operator in ("&&", "||")))
        if operator == "\n":
            for mark in self.documents:
                self.skip_document(mark)
            self.documents = []

    def skip_document(self, mark: str) -> None:
        """Past the lines of a here-document."""
        while self.at < len(self.text):
            start, end = self.at, end_of(_COMMENT, self.text, self.at)
            self.at = min(end + 1, len(self.text))
            if self.text[start:end].strip() == mark:
                return

    def single_quotes(self, at: int, start: int) -> None:
        end = self.text.find("'", start)
        if end < 0:
            raise self.unclosed("'", at)
        self.word = self.word or RawWord(at, at)
        self.add("text", self.text[start:end], start, end, quoted=True)
        self.word.end = self.at = end + 1

    def double_quotes(self, at: int) -> None:
        self.word = self.word or RawWord(at, at)
        self.word.parts.append(Part("text", "", at + 1, at + 1, quoted=True))  # an empty text is a word too
        self.at = at + 1
        while self.text[self.at:self.at + 1] != '"':
            here = self.at
            literal = _IN_QUOTES.match(self.text, here)
            if literal:
                self.add("text", literal[0], here, literal.end(), quoted=True)
            elif here >= len(self.text):
                raise self.unclosed('"', at)
            elif self.text[here] == "$":
                self.expansion(quoted=True)
            elif self.text[here] == "`":
                self.unknown(here, self.text.find("`", here + 1))
            elif continued := _CONTINUED.match(self.text, here):
                self.at = continued.end()
            else:
                size = 2 if self.text[here + 1:here + 2] in ('"', "\\", "$", "`") else 1
                self.add("text", self.text[here + size - 1:here + size], here, here + size, quoted=True)
        self.word.end = self.at = self.at + 1

    def unknown(self, start: int, end: int) -> None:
        """What only running gives, up to and with the character at ``end``."""
        if end < 0:
            raise self.unclosed(self.text[start], start)
        self.add("unknown", self.text[start:end + 1], start, end + 1)

    def expansion(self, quoted: bool) -> None:
        """What stands behind a dollar."""
        text, at = self.text, self.at
        following = text[at + 1:at + 2]
        name, braced = _NAME.match(text, at + 1), _BRACED.match(text, at + 1)
        if name:
            self.add("variable", name[0], at, name.end(), quoted)
        elif braced:
            default = Part("text", braced[3], braced.start(3), braced.end(3), True) if braced[3] is not None else None
            self.add("array" if braced[2] else "variable", braced[1], at, braced.end(), quoted, default)
        elif text.startswith("((", at + 1) and (end := text.find("))", at, at + LONGEST_ARITHMETIC)) >= 0:
            self.add("arithmetic", text[at + 3:end], at, end + 2, quoted)
        elif following == "(":
            self.unknown(at, self.closing(at + 2, "(", ")"))
        elif following == "{":
            self.unknown(at, self.closing(at + 2, "{", "}"))
        elif following == "'" and not quoted:
            self.single_quotes(at, at + 2)
        elif following and following in "@*#?$!-0123456789":
            self.add("unknown", text[at:at + 2], at, at + 2)
        elif self.word is None and (not following or following.isspace()):  # a prompt
            self.at = at + 1
        else:
            self.add("text", "$", at, at + 1, quoted)

    def closing(self, at: int, opens: str, closes: str) -> int:
        """Where the bracket closes that opened before ``at``, or -1."""
        depth = 1
        for mark in re.compile(f"[{re.escape(opens + closes)}]").finditer(self.text, at):
            depth += 1 if mark[0] == opens else -1
            if not depth:
                return mark.start()
        return -1
