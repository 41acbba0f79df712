# SPDX-License-Identifier: Apache-2.0
"""A Darknet cfg file; edits keep comments, order and spacing.

``CfgFile`` keeps every byte that is not changed on purpose: comments, order, spacing, CRLF, BOM.
Reading follows Darknet: all blanks are deleted, the first of two equal keys wins.  As in the engine, a
comment may also stand behind a value; Darknet takes it as part of the value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydarknet.cfg import keys
from pydarknet.errors import CfgError, FileError
from pydarknet.system import html
from pydarknet.system.atomic import replacing
from pydarknet.system.files import read_file

Value = int | float | str | Sequence[int | float]

_BLANK = str.maketrans("", "", " \t\r\n")
_COMMENT = re.compile("[#;]")
_UTF16 = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_INT = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def _decode(data: bytes) -> str:
    """Text of a cfg file, in the encodings that the engine reads."""
    encoding = _UTF16.get(data[:2])
    if encoding is None and b"\0" in data[:2] and len(data) > 1:  # UTF-16 without a byte order mark
        encoding = "utf-16-le" if data[1] == 0 else "utf-16-be"
    if encoding:
        text = data[: len(data) // 2 * 2].decode(encoding, "replace")
    else:
        text = data.decode("utf-8", "surrogateescape")
    return text if "\n" in text else text.replace("\r", "\n")


def format_value(value: Value) -> str:
    """A value as text that Darknet reads back: numbers in decimal, lists joined by commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.10g}"
    return ",".join(format_value(item) for item in value)


@dataclass(slots=True)
class Line:
    """One line of the file; ``number`` counts from 1 in the text that was parsed, 0 if added later."""

    text: str
    end: str = "\n"
    number: int = 0

    @property
    def raw(self) -> str:
        """The line as Darknet reads it: without blanks, empty if it begins with a comment."""
        stripped = self.text.lstrip("\ufeff").translate(_BLANK)
        return "" if stripped[:1] in ("#", ";") else stripped

    @property
    def code(self) -> str:
        """The line as the engine reads it: without blanks and comments."""
        return _COMMENT.split(self.raw, maxsplit=1)[0]

    @property
    def option(self) -> tuple[str, str] | None:
        """Key and value, or None if the line is not an option; ``key=`` without value is not one either."""
        key, equals, value = self.code.partition("=")
        return (key, value) if equals and value and not key.startswith("[") else None

    def replace_value(self, value: str) -> None:
        """Put another value behind the ``=``, keeping the spacing around it and a comment behind it."""
        left, _, right = self.text.partition("=")
        space = right[: len(right) - len(right.lstrip(" \t"))]
        comment = _COMMENT.search(right)
        tail = "\r" if self.text.endswith("\r") else ""
        if comment:
            kept = right[: comment.start()].rstrip(" \t")
            tail = right[len(kept) :]
        self.text = f"{left}={space}{value}{tail}"


@dataclass(frozen=True, slots=True)
class Option:
    """One ``key=value`` of a section and the line it stands on (0 if added after parsing)."""

    key: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at one place of a cfg file; ``str()`` reads ``net.cfg:57 [convolutional] pad: …``."""

    where: str
    message: str
    line: int = 0
    key: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class SectionError(CfgError):
    """A section or key is wrong; ``problem`` holds the place and the reason."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(slots=True, eq=False)
class Section:
    """A section: its header line and the lines below, up to the next header."""

    header: Line
    body: list[Line] = field(default_factory=list)
    path: str = ""

    @property
    def name(self) -> str:
        """The name between the brackets, as written."""
        return self.header.code.removeprefix("[").removesuffix("]")

    @property
    def type(self) -> str:
        """The name without aliases: ``conv`` → ``convolutional``; an unknown name is returned unchanged."""
        return keys.canonical(self.name)

    @property
    def line(self) -> int:
        """Line number of the header, from 1."""
        return self.header.number

    @property
    def options(self) -> list[Option]:
        """All options in order, repeated keys included."""
        pairs = ((line.option, line.number) for line in self.body)
        return [Option(pair[0], pair[1], number) for pair, number in pairs if pair]

    def __contains__(self, key: object) -> bool:
        return any(option.key == key for option in self.options)

    def problem(self, key: str, message: str) -> Problem:
        """A problem at a key, placed at the section's header if the key is absent or empty."""
        line = next((option.line for option in self.options if option.key == key), 0) or self.line
        where = f"{self.path}:{line} [{self.name}]" + (f" {key}" if key else "")
        return Problem(where, message, line, key)

    def error(self, key: str, message: str) -> SectionError:
        """The exception for a problem at a key."""
        return SectionError(self.problem(key, message))

    def get(self, key: str, default: str | None = None) -> str | None:
        """Text of the value, blanks removed; the first occurrence wins, as in Darknet."""
        return next((option.value for option in self.options if option.key == key), default)

    def integer(self, key: str, default: int | None = None) -> int:
        """Value as an integer: leading digits count, as in C's ``atoi``.

        Args:
            key: name of the key.
            default: used when the key is absent; without it, the default of ``pydarknet.cfg.keys``.

        Raises:
            CfgError: the text does not begin with an integer, or the key is absent and has no default.
        """
        if default is not None and key not in self:
            return default
        match = _INT.match(self.text(key))
        if not match:
            raise self.error(key, f"found {self.text(key)!r}, expected an integer")
        return int(match.group())

    def number(self, key: str, default: float | None = None) -> float:
        """Value as a number; see :meth:`integer` for defaults and errors."""
        if default is not None and key not in self:
            return default
        match = _FLOAT.match(self.text(key))
        if not match:
            raise self.error(key, f"found {self.text(key)!r}, expected a number")
        return float(match.group())

    def text(self, key: str) -> str:
        """Value as text, else the key's default; empty if there is neither."""
        found = self.get(key)
        if found is not None:
            return found
        default = keys.default(self.type, key)
        return "" if default is None else format_value(default)

    def integers(self, key: str) -> list[int]:
        """Value as a list of integers; text after a ``#`` is ignored; empty if the key is absent."""
        return [int(number) for number in self._items(key, _INT)]

    def numbers(self, key: str) -> list[float]:
        """Value as a list of numbers; text after a ``#`` is ignored; empty if the key is absent."""
        return [float(number) for number in self._items(key, _FLOAT)]

    def _items(self, key: str, pattern: re.Pattern[str]) -> Iterator[str]:
        text = self.text(key).partition("#")[0]
        for item in text.rstrip(",").split(",") if text else []:
            match = pattern.match(item)
            if not match:
                raise self.error(key, f"found {item!r} in a list, expected a number")
            yield match.group()

    def set(self, key: str, value: Value) -> None:
        """Change the first occurrence of the key, or add the key behind the last option."""
        text = format_value(value)
        for line in self.body:
            if line.option and line.option[0] == key:
                line.replace_value(text)
                return
        used = [index for index, line in enumerate(self.body) if line.option]
        place = used[-1] + 1 if used else 0
        above = self.body[place - 1] if place else self.header
        self.body.insert(place, Line(f"{key}={text}", above.end or "\n"))
        above.end = above.end or "\n"

    def remove(self, key: str) -> None:
        """Delete every occurrence of the key; no effect if there is none."""
        self.body = [line for line in self.body if not (line.option and line.option[0] == key)]


class CfgFile:
    """A cfg file as sections of lines; ``str(CfgFile.parse(text)) == text`` for every text.

    Attributes:
        path: where it was read from; only used in messages and by :meth:`save`.
        preamble: the lines before the first section.
        sections: all sections in order; ``net`` is the first, ``layers`` are the others.
        problems: errors in the text itself (no section, a header without an end, …).
        idle: lines that Darknet skips: a key without a value, text that is not an option.
    """

    def __init__(self, path: str = "<cfg>") -> None:
        self.path = path
        self.preamble: list[Line] = []
        self.sections: list[Section] = []
        self.problems: list[Problem] = []
        self.idle: list[Problem] = []

    @classmethod
    def parse(cls, source: str | Path, path: str = "<cfg>") -> CfgFile:
        """Read a cfg from its text (``str``) or from a file (``Path``).

        Never fails on content: malformed lines are kept and listed in ``problems``.

        Args:
            source: the text itself, or the path of a file.
            path: name for messages when ``source`` is text.

        Raises:
            FileError: the file cannot be read.
        """
        if isinstance(source, Path):
            return cls.load(source)
        cfg = cls(path)
        for number, match in enumerate(re.finditer(r"[^\n]*\n|[^\n]+\Z", source), start=1):
            text = match.group()
            end = text[len(text.rstrip("\r\n")) :] if text.endswith("\n") else ""
            cfg._append(Line(text[: len(text) - len(end)], end, number))
        if not cfg.sections:
            cfg._problem(0, "", "no section found, expected [net] and layers below it")
        elif cfg.sections[0].type != "net":
            cfg._problem(
                cfg.sections[0].line, "", f"first section is [{cfg.sections[0].name}], expected [net]"
            )
        return cfg

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CfgFile:
        """Read a cfg file; bytes that are not UTF-8 are kept as they are.

        UTF-16, and lines that end in CR alone, become UTF-8 and LF when the file is saved.

        Raises:
            FileError: the file cannot be read.
        """
        try:
            data = read_file(path)
        except OSError as error:
            raise FileError(f"{os.fspath(path)}: cannot read the cfg file: {error.strerror}") from error
        return cls.parse(_decode(data), os.fspath(path))

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write the file; it appears at once and complete, or not at all.

        Raises:
            FileError: it cannot be written.
        """
        with replacing(self.path if path is None else path) as temporary:
            temporary.write_bytes(str(self).encode("utf-8", "surrogateescape"))

    def _append(self, line: Line) -> None:
        code = line.code
        if code.startswith("["):
            self.sections.append(Section(line, path=self.path))
            if not code.endswith("]"):
                self._problem(line.number, "", f"section header {code!r} does not end with ']'")
            return
        (self.sections[-1].body if self.sections else self.preamble).append(line)
        if not code:
            return
        key, equals, value = code.partition("=")
        if not self.sections:
            self._problem(line.number, key, "option before the first section; put it below [net]")
        elif not key:
            self._problem(line.number, key, f"{code!r} has no key")
        elif not equals:
            self._skip(line.number, key, f"{code!r} is neither a section, a comment nor key=value")
        elif not value:
            self._skip(line.number, key, f"{key!r} has no value")

    def _problem(self, line: int, key: str, message: str) -> None:
        self.problems.append(Problem(f"{self.path}:{line}" if line else self.path, message, line, key))

    def _skip(self, line: int, key: str, message: str) -> None:
        self.idle.append(Problem(f"{self.path}:{line}", message, line, key))

    @property
    def net(self) -> Section:
        """The ``[net]`` section.

        Raises:
            CfgError: the file does not begin with one.
        """
        if not self.sections or self.sections[0].type != "net":
            raise CfgError(f"{self.path}: the first section must be [net]")
        return self.sections[0]

    @property
    def layers(self) -> list[Section]:
        """The sections after ``[net]``; their position is Darknet's layer number."""
        return self.sections[1:]

    @property
    def heads(self) -> list[Section]:
        """The layers that detect: ``[yolo]``, ``[Gaussian_yolo]``, ``[region]``, ``[detection]``."""
        return [section for section in self.layers if section.type in keys.HEADS]

    def add(self, name: str, comment: str = "", **options: Value) -> Section:
        """Append a section, with an empty line and optional comment lines before it."""
        above = self.sections[-1].body if self.sections else self.preamble
        if self.sections or above:
            above.append(Line(""))
        above.extend(Line(f"# {text}") for text in comment.splitlines())
        section = Section(Line(f"[{name}]"), path=self.path)
        self.sections.append(section)
        for key, value in options.items():
            section.set(key, value)
        return section

    def __str__(self) -> str:
        lines = list(self.preamble)
        for section in self.sections:
            lines += [section.header, *section.body]
        return "".join(line.text + line.end for line in lines)

    def _repr_html_(self) -> str:
        """The text, folded, for notebooks."""
        return html.titled(repr(self), html.folded("text", html.lines(str(self))))

    def __repr__(self) -> str:
        return f"CfgFile({self.path!r}, {len(self.layers)} layers)"


def parse(source: str | Path, path: str = "<cfg>") -> CfgFile:
    """Short for :meth:`CfgFile.parse`."""
    return CfgFile.parse(source, path)
