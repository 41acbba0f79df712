# SPDX-License-Identifier: Apache-2.0
"""Meaning of every section and key of a cfg file, read from one table.

The rows are in ``keys.txt``.  Defaults of the shape walk, ``cfg explain``, the search for
misspelt keys and the documentation's key reference are all read from here.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from importlib import resources

HEADS = ("yolo", "Gaussian_yolo", "region", "detection")

ALIASES = {
    "network": "net",
    "conv": "convolutional",
    "conn": "connected",
    "max": "maxpool",
    "local_avg": "local_avgpool",
    "avg": "avgpool",
    "soft": "softmax",
    "lrn": "normalization",
    "silence": "empty",
}

# Spellings of tutorials, other forks and old versions → current names.
OLD_SPELLINGS: dict[str, dict[str, str]] = {
    "net": {
        "subdivision": "subdivisions",
        "letterbox": "letter_box",
        "mini_batch": "batch",
        "lr": "learning_rate",
        "max_iter": "max_batches",
        "max_iterations": "max_batches",
        "weight_decay": "decay",
        "beta1": "B1",
        "beta2": "B2",
        "epsilon": "eps",
        "mosiac": "mosaic",
    },
    "convolutional": {
        "batchnorm": "batch_normalize",
        "batch_normalise": "batch_normalize",
        "kernel_size": "size",
        "kernel": "size",
        "group": "groups",
        "act": "activation",
        "n": "filters",
    },
    "yolo": {
        "anchor": "anchors",
        "masks": "mask",
        "class": "classes",
        "nms": "nms_kind",
        "iou_type": "iou_loss",
        "ignore_threshold": "ignore_thresh",
    },
    "upsample": {"scale_factor": "stride"},
    "route": {"layer": "layers", "group": "groups"},
    "shortcut": {"layers": "from"},
    "dropout": {"dropout": "probability"},
}

# Activations of other frameworks, in lower case and without "_" and "-" → name here; None: Darknet has no
# such function.  By spelling alone, "silu" would be closest to "selu", which is another function.
ACTIVATIONS: dict[str, str | None] = {
    "silu": "swish",
    "sigmoid": "logistic",
    "leakyrelu": "leaky",
    "lrelu": "leaky",
    "hardtanh": "hardtan",
    "identity": "linear",
    "none": "linear",
    **dict.fromkeys(("hardswish", "hswish", "hardsigmoid", "hsigmoid", "hardshrink", "logsigmoid")),
    **dict.fromkeys(("prelu", "rrelu", "celu", "crelu", "glu", "softplus", "softsign")),
}

# Keys that published files carry although no Darknet reads them; a note, not an error.
UNUSED: dict[str, frozenset[str]] = {
    "net": frozenset(
        {"swa", "swa_start", "max_epochs", "init_sequential_subdivisions", "cudnn_half", "random", "seen"}
    ),
    "yolo": frozenset({"uc_normalizer", "beta1"}),
    "detection": frozenset({"nuisance", "background"}),
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of one section type.

    Attributes:
        section: canonical section type, or ``*`` for the keys that every layer has.
        name: the key.
        type: ``int``, ``float``, ``str``, ``ints`` or ``floats`` (comma-separated lists).
        default: value when the key is absent; None if it is required or computed (see ``otherwise``).
        otherwise: the rule for an absent key without a fixed default.
        use: ``both``, ``inference`` or ``training``; ``ignored`` if Darknet's results do not depend on it;
            ``unsupported`` if they do, while it has no effect here; ``refused`` if pydarknet refuses it.
        meaning: one or two sentences.
        choices: the values that a ``str`` may have; empty if any.
    """

    section: str
    name: str
    type: str
    default: int | float | str | None
    otherwise: str
    use: str
    meaning: str
    choices: tuple[str, ...] = ()

    def is_default(self, value: str) -> bool:
        """Whether a value, as text, is the default; False where the default is computed."""
        if self.default is None:
            return False
        if isinstance(self.default, str):
            return value == self.default
        try:
            return float(value) == self.default
        except ValueError:
            return False

    @property
    def default_text(self) -> str:
        """The default as text: its value, the rule that replaces it, or ``required``."""
        if self.default is None:
            return self.otherwise
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)


_ROW = re.compile(
    r"(?P<name>\S+)\s+(?P<type>int|float|str|ints|floats)\s+(?P<default>\([^)]*\)|\S+)\s+"
    r"(?P<use>both|inference|training|ignored|unsupported|refused)\s+(?P<meaning>.*?)"
    r"(?: \{(?P<choices>.*)\})?"
)


def _read_table() -> tuple[dict[str, str], dict[str, dict[str, Key]]]:
    """Meanings of the sections, and their keys by name."""
    meanings: dict[str, str] = {}
    table: dict[str, dict[str, Key]] = {}
    sections: list[str] = []
    for line in resources.files("pydarknet.cfg").joinpath("keys.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            names, _, meaning = line[1:].partition("]")
            sections = names.split()
            for section in sections:
                table.setdefault(section, {})
                meanings[section] = meanings.get(section) or meaning.strip()
        elif line and not line.startswith("#"):
            for section in sections:
                key = _key(section, line)
                table[section][key.name] = key
    return meanings, table


def _key(section: str, line: str) -> Key:
    match = _ROW.fullmatch(line)
    if match is None:
        raise ValueError(f"keys.txt: cannot read the row {line!r}")
    text, kind = match["default"], match["type"]
    fixed = not text.startswith("(") and text != "required"
    default = {"int": int, "float": float, "str": str}[kind](text) if fixed else None
    choices = tuple((match["choices"] or "").split())
    return Key(
        section, match["name"], kind, default, text.strip("()"), match["use"], match["meaning"], choices
    )


_MEANINGS, _TABLE = _read_table()


def canonical(name: str) -> str:
    """Section type without aliases: ``conv`` → ``convolutional``; unknown names are returned unchanged."""
    return ALIASES.get(name, name)


def section_types() -> list[str]:
    """Every known section type, ``net`` first."""
    return [name for name in _TABLE if name != "*"]


def describe_section(section: str) -> str:
    """Description of the section in one sentence.

    Raises:
        KeyError: no such section type.
    """
    return _MEANINGS[canonical(section)]


def known(section: str) -> dict[str, Key]:
    """All keys that a section may have, by name; empty for an unknown section type."""
    section = canonical(section)
    if section not in _TABLE:
        return {}
    return dict(_TABLE[section]) if section == "net" else {**_TABLE[section], **_TABLE["*"]}


def lookup(section: str, key: str) -> Key | None:
    """The row of a key, or None if the section has no such key."""
    section = canonical(section)
    row = _TABLE.get(section, {}).get(key)
    return row if row or section == "net" or section not in _TABLE else _TABLE["*"].get(key)


def default(section: str, key: str) -> int | float | str | None:
    """Default of a key; None if it has none or is unknown."""
    row = lookup(section, key)
    return row.default if row else None


def suggest(section: str, key: str) -> str | None:
    """The key that was probably meant, or None.

    Old spellings first, then the same letters in another case, then the closest name.
    """
    names = known(section)
    old = OLD_SPELLINGS.get(canonical(section), {}).get(key)
    if old:
        return old
    folded = {name.lower().replace("-", "_"): name for name in names}
    found = folded.get(key.lower().replace("-", "_"))
    if found:
        return found
    close = difflib.get_close_matches(key.lower(), folded, n=1, cutoff=0.7)
    return folded[close[0]] if close else None


def other_name(key: str, value: str) -> str | None:
    """Name here of a value of another framework; None if it has none, or is not known."""
    return ACTIVATIONS.get(_plain(value)) if key == "activation" else None


def value_hint(row: Key, value: str) -> str:
    """Hint for a value that a key cannot have: the one that was probably meant; empty without a guess."""
    if row.name == "activation" and _plain(value) in ACTIVATIONS and not other_name(row.name, value):
        return "; Darknet has no such function"
    close = difflib.get_close_matches(value.lower(), row.choices, n=1, cutoff=0.7)
    meant = other_name(row.name, value) or (close[0] if close else "")
    return f"; did you mean {meant!r}?" if meant else ""


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def suggest_section(name: str) -> str | None:
    """The section type that was probably meant, or None."""
    names = {known_name.lower(): known_name for known_name in [*section_types(), *ALIASES]}
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return names[close[0]] if close else None
