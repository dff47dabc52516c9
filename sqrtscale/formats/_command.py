"""Command lines, pasted or inside a shell script: the options of the training that is started.

``--lr-decay-style cosine`` is ``{"lr_decay_style": "cosine"}``, a dotted name and Hydra's ``a.b=1`` are tables in tables, an
option without a value is True, several values are a list. What starts the program stands under "launcher". Where a name is both
a value and a table (``optimizer=adamw optimizer.lr=1``), the value is the table's ``_group_``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ._document import DEEPEST, MOST_NOTES, Document, Path, Twice, Unread, at_line, refuse, too_deep
from ._expansion import Script, expanded
from ._launch import Launch, Setting, launch_of, option
from ._words import Piece, Word
from ._yaml import scalar

GROUP = "_group_"
KEY = re.compile(r"(\+{0,2})([A-Za-z_][\w.@/-]*+)=")
_MANY = re.compile(r"(?:.*_)?(?:kwargs|args|options|opts|overrides|params|set)")
_SHORT = re.compile(r"-([A-Za-z])(?=[\d.])")
_PERHAPS_OPTIONS = re.compile(r"\$[{]?\w*(?:args|opts|options|flags|params)|\$[@*]|\$\{\w++\[[@*]", re.IGNORECASE)
_LIST = re.compile(r"\[[^\[\](){}]*+\]|\([^\[\](){}]*+\)")


def parse(text: str) -> Document:
    """The document; raises FieldError where no command has an option, and where two that differ could be meant."""
    script = expanded(text)
    notes = list(script.notes)
    commands = [_Command(text, launch, script) for words in _joined(text, script.commands, notes) if (launch := launch_of(words))]
    commands = [command for command in commands if command.settings]
    if not commands:
        raise refuse(text, "is no command with options: paste the whole line that starts the training")
    chosen = max(commands, key=lambda command: len(command.settings))
    alike = [command for command in commands if command is not chosen and command.like(chosen)]
    different = next((command for command in alike if command.values != chosen.values), None)
    if different:
        first, second = sorted((chosen.launch.at, different.launch.at))
        raise refuse(text, f"holds two commands that could be meant, at {at_line(text, first)} and at {at_line(text, second)}: "
                     "paste the one whose batch is to change")
    places: Counter[int] = Counter()
    for command in commands:
        if command is chosen or command not in alike:
            places.update(command.places)
    if alike:
        notes.append(f"Several commands have the same options; how it is started is read at {at_line(text, chosen.launch.at)}.")
    common = all(command.written == chosen.written for command in alike)  # from the same variables, so that one change is enough
    if not common:
        places.update(chosen.places)
    document = _Builder(text, chosen, places).document(notes)
    return document if common else replace(document, ends={})  # no place for a new option, which each would need


def _joined(text: str, commands: list[list[Word]], notes: list[str]) -> list[list[Word]]:
    """The commands, where a line that starts with an option goes on with the command before it, though no shell says so."""
    joined: list[list[Word]] = []
    for words in commands:
        if joined and option(words[0]):
            if len(notes) < MOST_NOTES:
                notes.append(f"The line before {at_line(text, words[0].start)} does not end in a backslash: read as if it did.")
            joined[-1] += words
        else:
            joined.append(words)
    return joined


class _Command:
    """A launch with the settings of its script. values: what they say; written: where they start; places: start of a value ->
    how many of them have it."""

    def __init__(self, text: str, launch: Launch, script: Script):
        self.text = text
        self.launch = launch
        self.unknown: list[str] = []
        self.arguments: list[Word] = []
        self.settings = list(self._settings(launch.rest))
        self.values = {setting.path: tuple(word.text for word in setting.values) for setting in self.settings}
        self.written = {(setting.path, setting.at) for setting in self.settings}
        spans = [_span(word.pieces) for setting in (*self.settings, *launch.facts) for word in setting.values]
        self.places: Counter[int] = Counter()
        for start, count in Counter(span[0] for span in spans if span).items():
            self.places.update(dict.fromkeys(script.origins(start), count))

    def like(self, other: _Command) -> bool:
        """True for the same options, or a comparable number of options of the same script."""
        if self.values.keys() == other.values.keys():
            return True
        scripts = [command.launch.script.text if command.launch.script else None for command in (self, other)]
        return scripts[0] == scripts[1] and 2 * len(self.settings) >= len(other.settings)

    def _settings(self, words: list[Word]) -> Iterator[Setting]:
        at = 0
        while at < len(words):
            word = words[at]
            match, key = option(word), KEY.match(word.beginning)
            short = _SHORT.match(word.beginning) if match and match[1] == "-" and not match[3] else None
            if short:
                yield Setting((short[1],), (word.after(2),), word.start, word.end)
            elif match and match[3]:
                yield Setting(_path(match[2]), (word.after(match.end()),), word.start, word.end)
            elif match:
                values, table = self._values(_path(match[2]), words, at)
                end = (values or words[at:])[-1 if values else 0].end
                if table:
                    for value, entry in ((value, KEY.match(value.beginning)) for value in values):
                        if entry:
                            path = (*_path(match[2]), *entry[2].split("."))
                            yield Setting(path, (value.after(entry.end()),), value.start, value.end)
                else:
                    yield Setting(_path(match[2]), values, word.start, end)
                at += len(values)
            elif key:
                yield Setting(tuple(key[2].split(".")), (word.after(key.end()),), word.start, word.end)
            elif word.text is None and self._may_be_options(word):
                self.unknown.append(self.text[word.start:word.end])
            elif word.text != "--" and not word.beginning.startswith("~"):
                self.arguments.append(word)
            at += 1

    def _may_be_options(self, word: Word) -> bool:
        return word.text is None and bool(_PERHAPS_OPTIONS.search(self.text, word.start, word.end))

    def _values(self, path: tuple[str, ...], words: list[Word], at: int) -> tuple[tuple[Word, ...], bool]:
        """The words that belong to an option, up to the next one or to Hydra's words; True where they are key=value."""
        values: list[Word] = []
        table = False
        for word in (words[i] for i in range(at + 1, len(words))):
            key = KEY.match(word.beginning)
            if option(word) or word.text == "--" or self._may_be_options(word) or (table and not key):
                break
            if key and not table and (values or ("." in key[2] and not _MANY.fullmatch(path[-1]))):
                break
            table = bool(key)
            values.append(word)
        return tuple(values), table


def _path(name: str) -> tuple[str, ...]:
    return tuple(name.replace("-", "_").split("."))


def _span(pieces: tuple[Piece, ...]) -> tuple[int, int] | None:
    """Where a value stands that is all of one piece."""
    return (pieces[0].start, pieces[0].end) if len(pieces) == 1 and pieces[0].text is not None else None


class _Builder:
    """The document of one command."""

    def __init__(self, text: str, command: _Command, places: Mapping[int, int]):
        self.text = text
        self.command = command
        self.places = places
        self.spans: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, int] = {}
        self.ends: dict[Path, int] = {}
        self.flow: set[Path] = set()
        self.shared: set[Path] = set()

    def document(self, notes: list[str]) -> Document:
        launch, repeated = self.command.launch, Twice(self.text)
        settings: dict[Path, Setting] = {}
        for setting in (*launch.facts, *(setting for setting in self.command.settings if setting.path[0] != "launcher")):
            if settings.pop(setting.path, None):
                repeated.add(setting.path, setting.at)
            settings[setting.path] = setting
        data = self.data(settings)
        about = data.setdefault("launcher", {})
        about["program"] = launch.program
        if launch.script:
            about["script"] = self.known(launch.script)
        if self.command.arguments:
            about["arguments"] = [self.known(word) for word in self.command.arguments]
        notes += [f"{text} is only known when the command runs: options in it are not read." for text in
                  dict.fromkeys(self.command.unknown)][:MOST_NOTES]
        return Document(self.text, "command", data, self.spans, self.keys, frozenset(self.flow), shared=frozenset(self.shared),
                        notes=(*notes, *repeated.notes()), ends=self.ends)

    def data(self, settings: Mapping[Path, Setting]) -> dict[str | int, Any]:
        """The settings as tables in tables."""
        tables = {path[:depth] for path in settings for depth in range(1, min(len(path), DEEPEST + 1))}
        data: dict[str | int, Any] = {}
        for path, setting in settings.items():
            if len(path) > DEEPEST:
                raise too_deep(self.text)
            here = (*path, GROUP) if path in tables else path
            holder = data
            for key in here[:-1]:
                holder = holder.setdefault(key, {})
            holder[here[-1]] = self.values(setting, here)
            self.keys[here] = setting.at
            if path[0] != "launcher":
                self.ends[here] = setting.end
        return data

    def values(self, setting: Setting, path: Path) -> Any:
        words = setting.values
        if len(words) < 2:
            return self.value(words[0], path) if words else True
        if all(before.end <= word.start for before, word in pairwise(words)):
            self.spans[path] = (words[0].start, words[-1].end)
        for i, word in enumerate(words):
            self.keys[(*path, i)] = word.start
        return [self.value(word, (*path, i)) for i, word in enumerate(words)]

    def value(self, word: Word, path: Path) -> Any:
        text = word.text
        if text is None:
            return self.known(word)
        span = _span(word.pieces)
        if span:
            self.spans[path] = span
            if self.places[span[0]] > 1:
                self.shared.add(path)
        if _LIST.fullmatch(text) and span and word.pieces[0].exact:
            return self.items(text, path, span[0])
        return scalar(text, path)

    def items(self, text: str, path: Path, start: int) -> list[Any]:
        """The items of [0.9, 0.95] or (0.9, 0.95), which programs take as one word."""
        self.flow.add(path)
        items: list[Any] = []
        at = start + 1
        for written_item in text[1:-1].split(","):
            item = written_item.strip()
            if item:
                here, begin = (*path, len(items)), at + written_item.index(item)
                self.keys[here], self.spans[here] = begin, (begin, begin + len(item))
                if path in self.shared:
                    self.shared.add(here)
                items.append(item[1:-1] if item[0] in "'\"" and item[0] == item[-1] else scalar(item, here))
            at += len(written_item) + 1
        return items

    def known(self, word: Word) -> str | Unread:
        """A word as text, or what only running gives."""
        return word.text if word.text is not None else Unread(self.text[word.start:word.end])
