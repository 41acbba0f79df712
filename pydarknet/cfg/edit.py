# SPDX-License-Identifier: Apache-2.0
"""Change a whole cfg: update dependent values together, fix old spellings; comments and order stay.

All functions return a changed copy and leave their argument unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydarknet.cfg import keys
from pydarknet.cfg.generate import check_size
from pydarknet.cfg.model import CfgFile, Line, Section
from pydarknet.cfg.shapes import walk
from pydarknet.errors import CfgError


def copy(cfg: CfgFile) -> CfgFile:
    """An independent copy; its lines are numbered again."""
    return CfgFile.parse(str(cfg), cfg.path)


def retune(
    cfg: CfgFile,
    *,
    batch: int | None = None,
    subdivisions: int | None = None,
    max_batches: int | None = None,
    classes: int | None = None,
    size: tuple[int, int] | None = None,
) -> CfgFile:
    """Change the training and everything that follows from the change.

    * ``batch``: the learning rate is scaled with it; the mini-batch does not grow unless
      ``subdivisions`` is given too.
    * ``max_batches``: ``steps`` keep their share of the training; ``burn_in`` takes at most a quarter.
    * ``classes``: written into every head, and the filters before each head.
    * ``size``: (width, height) in pixels.

    Raises:
        CfgError: the batch is not divisible by the subdivisions, a value is not positive, or the size is not
            a multiple of the network's stride.
    """
    result = copy(cfg)
    net = result.net
    for name, value in (("batch", batch), ("subdivisions", subdivisions), ("max_batches", max_batches)):
        if value is not None and value < 1:
            raise CfgError(f"{name} is {value}, expected at least 1")
    if batch is not None or subdivisions is not None:
        _retune_batch(net, batch or net.integer("batch"), subdivisions)
    if max_batches is not None:
        _retune_length(net, max_batches)
    if classes is not None:
        _retune_classes(result, classes)
    if size is not None:
        check_size(cfg.path, size, walk(result).stride)
        net.set("width", size[0])
        net.set("height", size[1])
    return result


def _retune_batch(net: Section, batch: int, subdivisions: int | None) -> None:
    old = net.integer("batch")
    if old < 1:
        raise net.error("batch", f"found {old}, expected at least 1; correct it in the file")
    if subdivisions is None:
        mini = max(old // max(net.integer("subdivisions"), 1), 1)
        subdivisions = next(
            count for count in range(1, batch + 1) if not batch % count and batch // count <= mini
        )
    if batch % subdivisions:
        raise CfgError(f"batch {batch} is not divisible by subdivisions {subdivisions}")
    if batch != old:
        rate = net.number("learning_rate") * batch / old
        net.set("learning_rate", float(f"{rate:.3g}"))
    net.set("batch", batch)
    net.set("subdivisions", subdivisions)


def _retune_length(net: Section, max_batches: int) -> None:
    old = net.integer("max_batches")
    if old and net.integers("steps"):
        net.set("steps", [round(step * max_batches / old) for step in net.integers("steps")])
    if "sgdr_cycle" in net and old:
        net.set("sgdr_cycle", max(round(net.integer("sgdr_cycle") * max_batches / old), 1))
    if net.integer("burn_in") > max_batches // 4:
        net.set("burn_in", max_batches // 4)
    net.set("max_batches", max_batches)


def _retune_classes(cfg: CfgFile, classes: int) -> None:
    if classes < 1:
        raise CfgError(f"classes is {classes}, expected at least 1")
    for index, head in enumerate(cfg.layers):
        if head.type not in ("yolo", "Gaussian_yolo", "region"):
            continue
        above = cfg.layers[index - 1]
        if above.type != "convolutional":
            raise head.error("classes", f"stands below [{above.name}], expected a [convolutional] to resize")
        if "classes" in head and "counters_per_class" in head:
            head.remove("counters_per_class")
        head.set("classes", classes)
        above.set("filters", head_filters(head))


def head_filters(head: Section) -> int:
    """Channels that a head needs in front of it: (classes + 5)·anchors, 9 instead of 5 for Gaussian."""
    boxes = (
        head.integer("num") if head.type == "region" else len(head.integers("mask")) or head.integer("num")
    )
    box = head.integer("coords") + 1 if head.type == "region" else 9 if head.type == "Gaussian_yolo" else 5
    return (head.integer("classes") + box) * boxes


@dataclass(frozen=True, slots=True)
class Repair:
    """One change made by :func:`fix`: line in the old file, its text before and after, and the reason."""

    line: int
    old: str
    new: str
    reason: str


def fix(cfg: CfgFile) -> tuple[CfgFile, list[Repair]]:
    """Fix spellings of old tutorials and other forks where the meaning is certain.

    Misspelt keys and section names get their current name; comments after values move to a line of
    their own; repeated keys, unused keys and text that is not an option become comments.
    """
    result = copy(cfg)
    repairs: list[Repair] = []
    for section in result.sections:
        _fix_header(section, repairs)
        seen: set[str] = set()
        body: list[Line] = []
        for line in section.body:
            body += _fix_line(section, line, seen, repairs)
        section.body = body
    return copy(result), repairs


def _fix_header(section: Section, repairs: list[Repair]) -> None:
    old = section.header.text
    name = section.header.code.partition("]")[0].lstrip("[")
    folded = {known.lower(): known for known in [*keys.section_types(), *keys.ALIASES]}
    new = f"[{folded.get(name.lower(), name)}]"
    if new != section.header.code:
        section.header.text = new
        repairs.append(Repair(section.line, old, new, "a section name is exact, without a comment after it"))


def _fix_line(section: Section, line: Line, seen: set[str], repairs: list[Repair]) -> Sequence[Line]:
    if not line.code:
        return [line]
    old = line.text
    lines = [line]
    option = Line(line.text.partition("#")[0]).option
    key = option[0] if option else ""
    new_key = _current_key(section, key)
    reason = ""
    if not key:
        reason = "is not an option"
    elif new_key in seen:
        reason = f"only the first {new_key!r} counts"
    elif key in keys.UNUSED.get(section.type, ()):
        reason = "no program reads this key"
    if reason:
        line.text = f"# {line.text.strip()}"
        repairs.append(Repair(line.number, old, line.text, reason))
        return lines
    seen.add(new_key)
    if new_key != key:
        line.text = line.text.replace(key, new_key, 1)
        repairs.append(Repair(line.number, old, line.text, f"{key!r} is called {new_key!r}"))
    if "#" in line.text:
        value, _, comment = line.text.partition("#")
        lines.insert(0, Line(f"# {comment.strip()}", line.end))
        repairs.append(Repair(line.number, line.text, value.rstrip(), "comments need a line of their own"))
        line.text = value.rstrip()
    return lines


def _current_key(section: Section, key: str) -> str:
    """Current name of an old or misspelt key; the key itself if it is known or unclear."""
    if not key or keys.lookup(section.type, key):
        return key
    old = keys.OLD_SPELLINGS.get(section.type, {}).get(key)
    folded = {name.lower(): name for name in keys.known(section.type)}
    return old or folded.get(key.lower().replace("-", "_"), key)
