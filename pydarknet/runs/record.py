# SPDX-License-Identifier: Apache-2.0
"""Record of a run inside its saved state: settings, cfg, and identity of its inputs.

The state holds everything that a resumed run needs, so that no other file of the folder can be missing, or
differ from it.
"""

from __future__ import annotations

import json
import shlex
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydarknet.errors import FileError

STATE = "_last.state"  # end of the name of the state from which a run resumes
MOST_HEADER = 1 << 28  # bytes


@dataclass(frozen=True)
class RunRecord:
    """Settings and inputs of a run.

    Attributes:
        config: the settings, as JSON values.
        cfg: text of the cfg as it is trained.
        requested: text of the user's cfg with the settings written into it, the length excepted.
        names: of the classes.
        images: identity of the training images, see :func:`pydarknet.data.fingerprint.identity`.
        weights: name and SHA-256 of the initial weights; empty without.
    """

    config: dict[str, Any]
    cfg: str
    requested: str
    names: tuple[str, ...]
    images: dict[str, Any]
    weights: dict[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """JSON text, for the metadata of a state."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> RunRecord:
        """Inverse of :meth:`to_text`.

        Raises:
            ValueError, TypeError: the text is not that of a record.
        """
        values = json.loads(text)
        return cls(**{**values, "names": tuple(values["names"])})

    def inputs(self) -> dict[str, Any]:
        """Identity of the inputs, for ``run.json``."""
        return {"names": list(self.names), "images": self.images, "weights": self.weights}


def state_of(weights: Path, base: str) -> Path | None:
    """Path of the saved state in the folder ``weights`` of a run; None if there is none.

    Args:
        weights: the folder.
        base: first part of the name, if there are states of several names.

    Raises:
        FileError: there are several, and none has this name.
    """
    found = sorted(weights.glob(f"*{STATE}"))
    if len(found) > 1:
        found = [path for path in found if path.name == f"{base}{STATE}"] or found
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        raise FileError(f"{weights}: holds the states of several runs ({listed}); move all but one away")
    return found[0] if found else None


def read_record(state: Path) -> RunRecord | None:
    """Read the record of a saved state without its arrays; None if an earlier version saved it.

    Raises:
        FileError: the file cannot be read, or is damaged.
    """
    try:
        with state.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > MOST_HEADER:
                raise ValueError(f"its header of {size} bytes is too large")
            metadata = json.loads(file.read(size)).get("__metadata__", {})
        return RunRecord.from_text(metadata["run"]) if "run" in metadata else None
    except OSError as error:
        raise FileError(f"{state}: cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, struct.error) as error:
        raise FileError(f"{state}: is damaged: {error}; {way_on(state)}") from None


def way_on(state: Path) -> str:
    """Advice for a run whose state cannot be used, but whose weights can."""
    weights = state.with_name(f"{state.name.removesuffix(STATE)}_last.weights")
    return f"{new_run('CFG', 'DATA', weights)}; --restart moves {state.parent.parent} aside and begins again"


def new_run(cfg: object, data: object, weights: Path) -> str:
    """Command that begins a new run from weights."""
    words = [shlex.quote(str(word)) for word in (cfg, data, weights)]
    return (
        "a new run continues from its weights without momentum: "
        f"pydarknet train --cfg {words[0]} --data {words[1]} --weights {words[2]} --out NEW"
    )
