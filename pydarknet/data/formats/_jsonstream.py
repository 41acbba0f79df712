# SPDX-License-Identifier: Apache-2.0
"""A large JSON object read element by element, so that memory holds a window of the file and not the file."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydarknet.errors import RecordError
from pydarknet.system.files import open_file

_WINDOW = 1 << 20  # characters read at a time
_LARGEST = 1 << 26  # characters one element may have
_BLANK = " \t\r\n"


class JsonStream:
    """The top-level object of a JSON file as a stream.

    Args:
        path: a UTF-8 file, or UTF-16 with a byte order mark.
        lists: accept a list at the top; its elements have the key ``""``.

    Iterating yields ``(key, value)``: for a top-level array once per element, for anything else the value
    whole. ``kind`` is then ``"object"`` or ``"list"``, ``in_array`` whether the value is an element, and
    ``keys`` are those reached so far, those of empty arrays included.

    Raises:
        RecordError: ``parse`` with line and column where the file is not a JSON object.
    """

    def __init__(self, path: Path, *, lists: bool = False) -> None:
        self.path, self.kind, self.in_array, self._lists = path, "", False, lists
        self.keys: list[str] = []
        self._decoder = json.JSONDecoder()
        self._buffer, self._at, self._end = "", 0, False
        self._line, self._column = 1, 1  # of the buffer's first character

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        with open_file(self.path) as file:
            self._file = file
            wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            file.seek(0)
            self._text = codecs.getincrementaldecoder("utf-16" if wide else "utf-8-sig")()
            yield from self._members()

    def _members(self) -> Iterator[tuple[str, Any]]:
        if self._peek() == "[" and self._lists:
            self.kind, self.in_array = "list", True
            for element in self._elements():
                yield "", element
            return
        if self._peek() == "[":
            raise self._error(
                "a list at the top; is this a results file? Expected an object with images", self._at
            )
        self._expect("{")
        self.kind = "object"
        while self._peek() != "}":
            key = self._value()
            if not isinstance(key, str):
                raise self._error("expected a key", self._at)
            self.keys.append(key)
            self._expect(":")
            self.in_array = self._peek() == "["
            if self.in_array:
                for element in self._elements():
                    yield key, element
            else:
                yield key, self._value()
            if self._peek() != "}":
                self._expect(",")
        self._at += 1
        if self._peek():
            raise self._error("text after the end of the object", self._at)

    def _elements(self) -> Iterator[Any]:
        self._expect("[")
        while self._peek() != "]":
            yield self._value()
            if self._peek() != "]":
                self._expect(",")
        self._at += 1

    def _peek(self) -> str:
        """The next character that is not blank, ``""`` at the end of the file."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in _BLANK:
                    return self._buffer[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _expect(self, character: str) -> None:
        found = self._peek()
        if found != character:
            raise self._error(f"expected {character!r}, found {found or 'the end of the file'!r}", self._at)
        self._at += 1

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                # Near the end of the window the element may only be cut off.
                cut = error.pos > len(self._buffer) - 64 or error.msg.startswith("Unterminated")
                if cut and len(self._buffer) - self._at < _LARGEST and self._more():
                    continue
                raise self._error(error.msg, error.pos) from None
            except RecursionError:
                raise self._error("nested too deeply", self._at) from None
            if end < len(self._buffer) or not self._more():  # a number may continue in the next window
                self._at = end
                return value

    def _more(self) -> bool:
        if self._end:
            return False
        data = self._file.read(max(_WINDOW, len(self._buffer) - self._at))
        self._end = not data
        try:
            text = self._text.decode(data, final=self._end)
        except UnicodeDecodeError as error:
            raise RecordError(
                "encoding", f"not {error.encoding.upper()}: {error.reason}", self.path, self._line
            ) from None
        if text:
            self._drop(self._at)
            self._buffer += text
        return not self._end or bool(text)

    def _drop(self, count: int) -> None:
        self._line, self._column = self._position(count)
        self._buffer, self._at = self._buffer[count:], 0

    def _position(self, at: int) -> tuple[int, int]:
        lines = self._buffer.count("\n", 0, at)
        if not lines:
            return self._line, self._column + at
        return self._line + lines, at - self._buffer.rindex("\n", 0, at)

    def _error(self, message: str, at: int) -> RecordError:
        line, column = self._position(at)
        return RecordError("parse", message, self.path, line, column)
