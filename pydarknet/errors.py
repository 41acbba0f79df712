# SPDX-License-Identifier: Apache-2.0
"""Every exception that pydarknet raises on purpose.

All derive from :class:`DarknetError`, and from the built-in that fits, so that
``except ValueError`` keeps working for callers that know nothing of pydarknet.
"""

from __future__ import annotations

import os
from typing import Any


class DarknetError(Exception):
    """Base of all pydarknet errors; the message says what, where and what to do."""


class ArgumentError(DarknetError, ValueError):
    """A value given by the caller is out of range or of the wrong kind."""


class FileError(DarknetError, OSError):
    """A file cannot be opened, read or written."""


class CfgError(DarknetError, ValueError):
    """A cfg file is malformed or describes an impossible network."""


class WeightsError(DarknetError, ValueError):
    """A weights file is damaged or belongs to another network."""


class DataError(DarknetError, ValueError):
    """An image, label, list, names or ``.data`` file cannot be used."""


class RecordError(DataError):
    """One annotation record is unusable; readers raise it, the reading loop reports it and continues.

    Args:
        code: one of the codes of :mod:`pydarknet.data.issues`.
        message: what was found and what was expected.
        file: the file it was found in.
        line: 1-based line or record number, 0 if it concerns the whole file.
        column: 1-based column, 0 if unknown.
    """

    def __init__(
        self, code: str, message: str, file: str | os.PathLike[str], line: int = 0, column: int = 0
    ) -> None:
        self.code, self.file, self.line, self.column = code, os.fspath(file), line, column
        self.reason = message
        super().__init__(f"{place(self.file, line, column)}: {message} [{code}]")

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordError, (self.code, self.reason, self.file, self.line, self.column)


def place(file: str, line: int = 0, column: int = 0) -> str:
    """``file:line:column`` with the unknown parts left out."""
    return file + (f":{line}" if line else "") + (f":{column}" if line and column else "")


class BackendError(DarknetError, RuntimeError):
    """A backend is unknown, unavailable, or failed while computing."""


class NonFinite(DarknetError, ArithmeticError):
    """A loss, gradient or weight became nan or infinite while training."""


class WorkerLost(DarknetError, ConnectionError):
    """A worker of a training on several processes gave no sign of life; the saved state is from before."""


class HookError(DarknetError, RuntimeError):
    """A hook of the caller failed; the state of the training was saved, the cause is the hook's own error."""


class OutOfMemory(DarknetError, MemoryError):
    """The engine could not allocate memory."""


class MissingExtra(DarknetError, ImportError):
    """An optional dependency is not installed; the message names the extra.

    Args:
        package: what could not be imported, for example ``"onnx"``.
        extra: the extra of pydarknet that brings it, for example ``"export"``.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'pydarknet[{extra}]'")
