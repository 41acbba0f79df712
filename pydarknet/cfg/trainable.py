# SPDX-License-Identifier: Apache-2.0
"""Whether a network can be trained: one judgement for the preflight and for the start of a training.

The engine reads the cfg as a training does; the rest of the start is checked by the code that it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.cfg.model import CfgFile, Problem, Section, SectionError
from pydarknet.cfg.shapes import walk
from pydarknet.engine._core import memory_need
from pydarknet.engine.handle import EngineOptions
from pydarknet.errors import CfgError, DarknetError

ROOMY = 2048  # pixels; every stride in use divides it
_AS_TRAINING = EngineOptions("ref", "fp32", strict=False)
_TILED = ("yolo", "Gaussian_yolo", "region")


def refusals(cfg: CfgFile) -> list[Problem]:
    """Why the network cannot be trained; empty if it can.

    Of what the engine refuses, the first is listed: what follows from it would bury it.
    """
    found: list[Problem] = []
    for check in (_check_engine, _check_settings, _check_losses, _check_heads, _check_sizes):
        try:
            found += check(cfg)
        except DarknetError as error:
            found.append(_problem(cfg, error))
    return list({(problem.line, problem.key): problem for problem in reversed(found)}.values())[::-1]


def require(cfg: CfgFile) -> None:
    """Refuse a network that cannot be trained.

    Raises:
        CfgError: naming the first thing that is wrong.
    """
    if problems := refusals(cfg):
        raise CfgError(str(problems[0]))


def stride_of(cfg: CfgFile) -> int:
    """Width and height must be multiples of this; 1 if no head tiles the image, or [crop] sets its size."""
    tiles = any(head.type in _TILED for head in cfg.heads)
    is_cropped = any(layer.type == "crop" for layer in cfg.layers)
    return walk(cfg, ROOMY, ROOMY, problems=[]).stride if tiles and not is_cropped else 1


def random_head(cfg: CfgFile) -> Section | None:
    """The head whose ``random`` changes the input size during the training, if one does: the last."""
    last = cfg.heads[-1] if cfg.heads else None
    return last if last is not None and last.number("random", 0.0) else None


def size_grid(cfg: CfgFile) -> tuple[int, int]:
    """Grid of random sizes (``resize_step``), and the stride that it must be a multiple of."""
    return max(cfg.net.integer("resize_step"), 1), stride_of(cfg)


def at_possible_size(cfg: CfgFile) -> CfgFile:
    """The network at the nearest multiples of its stride, with the same lines; ``cfg`` if it needs none."""
    stride, near = stride_of(cfg), None
    for side in ("width", "height"):
        pixels = cfg.net.integer(side)
        if pixels > 0 and pixels % stride:
            near = near or CfgFile.parse(str(cfg), cfg.path)
            near.net.set(side, max(pixels // stride, 1) * stride)
    return near or cfg


def _check_engine(cfg: CfgFile) -> Iterator[Problem]:
    error = refusal(cfg)
    if error is None:
        return
    near = at_possible_size(cfg)
    if near is cfg:
        yield _problem(cfg, error)
        return
    for side in ("width", "height"):
        if near.net.get(side) != cfg.net.get(side):
            yield cfg.net.problem(side, f"found {cfg.net.get(side)}, expected a multiple of {stride_of(cfg)}")
    if (other := refusal(near)) is not None:
        yield _problem(cfg, other)


def refusal(cfg: CfgFile) -> DarknetError | None:
    """Error of the engine, which reads the cfg as a training does; None if it accepts it."""
    try:
        memory_need(str(cfg), cfg.path, _AS_TRAINING, training=True)
    except DarknetError as error:
        return error
    return None


def _check_settings(cfg: CfgFile) -> Iterator[Problem]:
    AugmentConfig.of(cfg)
    yield from ()


def _check_losses(cfg: CfgFile) -> Iterator[Problem]:
    """Losses of classifiers need other truths than heads do."""
    for section in cfg.layers if cfg.heads else []:
        if section.type == "cost" or (section.type == "softmax" and not section.integer("noloss")):
            remedy = "set noloss=1" if section.type == "softmax" else "remove the section"
            text = f"has the loss of a classifier, which cannot be trained beside detection heads; {remedy}"
            yield section.problem("", text)


def _check_heads(cfg: CfgFile) -> Iterator[Problem]:
    for key in ("classes", "max"):
        first = cfg.heads[0].integer(key) if cfg.heads else 0
        for head in cfg.heads:
            if head.integer(key) != first:
                yield head.problem(
                    key,
                    f"found {head.integer(key)}, but {first} in line {cfg.heads[0].line}; "
                    "all heads need the same",
                )


def _check_sizes(cfg: CfgFile) -> Iterator[Problem]:
    if (head := random_head(cfg)) is None:
        return
    step, stride = size_grid(cfg)
    if step % stride:
        random = f"random={head.get('random')} in line {head.problem('random', '').line}"
        yield cfg.net.problem(
            "resize_step",
            f"{random} draws sizes on a grid of {step}, but they must be multiples of the stride {stride}; "
            f"set resize_step={-(-step // stride) * stride}",
        )


def _problem(cfg: CfgFile, error: DarknetError) -> Problem:
    """The place and the reason of an error of the engine or of a section."""
    if isinstance(error, SectionError):
        return error.problem
    place = rf"({re.escape(cfg.path)}(?::(\d+))?(?: \[[^\]]*\](?: (\S+))?)?): (.*)"
    if match := re.fullmatch(place, str(error), re.DOTALL):
        return Problem(match[1], match[4], int(match[2] or 0), match[3] or "")
    return Problem(cfg.path, str(error))
