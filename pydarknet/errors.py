# SPDX-License-Identifier: Apache-2.0
"""Every exception that pydarknet raises on purpose.

All derive from :class:`DarknetError`, and from the built-in that fits, so that
``except ValueError`` keeps working for callers that know nothing of pydarknet.
"""

from __future__ import annotations


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


class BackendError(DarknetError, RuntimeError):
    """A backend is unknown, unavailable, or failed while computing."""


class NonFinite(DarknetError, ArithmeticError):
    """A loss, gradient or weight became nan or infinite while training."""


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
