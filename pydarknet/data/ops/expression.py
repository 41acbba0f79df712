# SPDX-License-Identifier: Apache-2.0
"""Small expressions about images and boxes, such as ``count(screwdriver) > 3 and width < 640``.

A small subset of Python's syntax: numbers, strings, the variables listed here, comparisons, ``and``, ``or``,
``not``, ``+ - * /`` and ``count(class)``. Everything else is rejected before evaluation.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydarknet.data.dataset import Flag, Sample
from pydarknet.errors import DataError

Value = Any  #: a number, a string or a boolean
_Node = Callable[[Sample, int], Value]  # (sample, box number) -> value

#: Variables of an image; sizes in pixels.
IMAGE_VARIABLES: dict[str, _Node] = {
    "width": lambda s, _: s.width,
    "height": lambda s, _: s.height,
    "area": lambda s, _: s.width * s.height,
    "aspect": lambda s, _: s.width / s.height,
    "boxes": lambda s, _: len(s),
    "classes": lambda s, _: len(set(s.classes.tolist())),
    "status": lambda s, _: s.status.value,
    "split": lambda s, _: s.split,
    "name": lambda s, _: s.name,
}


def _side(axis: int) -> _Node:
    return lambda s, i: float(s.boxes[i, axis + 2] - s.boxes[i, axis])


def _flag(flag: Flag) -> _Node:
    return lambda s, i: bool(s.flags[i] & flag)


_width, _height = _side(0), _side(1)

#: Variables of a box; sizes in pixels of the image, ``x`` and ``y`` the centre and ``share`` the area as
#: fractions of it.
BOX_VARIABLES: dict[str, _Node] = {
    "width": _width,
    "height": _height,
    "area": lambda s, i: _width(s, i) * _height(s, i),
    "aspect": lambda s, i: _width(s, i) / _height(s, i),
    "share": lambda s, i: _width(s, i) * _height(s, i) / (s.width * s.height),
    "x": lambda s, i: float(s.boxes[i, 0] + s.boxes[i, 2]) / 2 / s.width,
    "y": lambda s, i: float(s.boxes[i, 1] + s.boxes[i, 3]) / 2 / s.height,
    "score": lambda s, i: 1.0 if s.scores is None else float(s.scores[i]),
    **{flag.name.lower(): _flag(flag) for flag in Flag if flag.name},
}

_COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], Value]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_UNARY: dict[type[ast.unaryop], Callable[[Value], Value]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
}


def image_condition(text: str, names: Sequence[str]) -> Callable[[Sample], bool]:
    """A test of images, over :data:`IMAGE_VARIABLES` and ``count(class)``.

    Args:
        text: the expression; class names that are not identifiers are quoted: ``count('traffic sign')``.
        names: the class names.

    Raises:
        DataError: if the expression is malformed or names something unknown, here or when it is applied.
    """
    condition = _Compiler(text, names, IMAGE_VARIABLES).compile()
    return lambda sample: condition(sample, 0)


def box_condition(text: str, names: Sequence[str]) -> Callable[[Sample, int], bool]:
    """A test of boxes, over :data:`BOX_VARIABLES` and ``label``, the class name (``""`` for any class).

    Raises:
        DataError: as :func:`image_condition`.
    """
    label: _Node = lambda s, i: names[c] if (c := int(s.classes[i])) >= 0 else ""  # noqa: E731
    return _Compiler(text, names, {**BOX_VARIABLES, "label": label}).compile()


class _Compiler:
    """Turns a syntax tree into nested functions."""

    def __init__(self, text: str, names: Sequence[str], variables: dict[str, _Node]) -> None:
        self.text, self.names, self.variables = text.strip(), names, variables

    def compile(self) -> Callable[[Sample, int], bool]:
        try:
            tree = ast.parse(self.text, mode="eval").body
            node = self.node(tree)
        except SyntaxError as error:
            column = error.offset - 1 if error.offset else len(self.text)  # 0: at the end
            assigns = "==" in error.msg or self.text[column : column + 1] == "="
            message = "equality is written ==" if assigns else error.msg
            raise self._error(message, column) from None
        except (ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, DataError):
                raise
            raise self._error(f"is not valid: {error}", 0) from None

        def condition(sample: Sample, box: int) -> bool:
            try:
                return bool(node(sample, box))
            except (TypeError, ZeroDivisionError) as error:
                raise DataError(f"expression {self.text!r} on {sample.image}: {error}") from None

        return condition

    def node(self, tree: ast.expr) -> _Node:
        node = self._leaf(tree) or self._operation(tree)
        if node is None:
            raise self._error(f"{ast.unparse(tree)!r} is not allowed here", tree.col_offset)
        return node

    def _leaf(self, tree: ast.expr) -> _Node | None:
        match tree:
            case ast.Constant(value=int() | float() | str() as value) if not isinstance(value, bool):
                return lambda _s, _i: value
            case ast.Name(id=name):
                return self._variable(name, tree)
            case ast.Call(func=ast.Name(id="count"), args=[argument], keywords=[]):
                return self._count(argument)
        return None

    def _operation(self, tree: ast.expr) -> _Node | None:
        match tree:
            case ast.BoolOp(op=op, values=values):
                parts = [self.node(value) for value in values]
                decide = all if isinstance(op, ast.And) else any
                return lambda s, i: decide(part(s, i) for part in parts)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                apply, inner = _UNARY[type(op)], self.node(operand)
                return lambda s, i: apply(inner(s, i))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                combine, a, b = _ARITHMETIC[type(op)], self.node(left), self.node(right)
                return lambda s, i: combine(a(s, i), b(s, i))
            case ast.Compare(ops=ops) if all(type(op) in _COMPARE for op in ops):
                return self._comparison(tree)
        return None

    def _comparison(self, tree: ast.Compare) -> _Node:
        nodes = [self.node(part) for part in (tree.left, *tree.comparators)]
        compares = [_COMPARE[type(op)] for op in tree.ops]

        def chain(sample: Sample, box: int) -> bool:
            values = [node(sample, box) for node in nodes]
            pairs = zip(compares, values, values[1:], strict=False)
            return all(compare(left, right) for compare, left, right in pairs)

        return chain

    def _variable(self, name: str, tree: ast.expr) -> _Node:
        if name in self.variables:
            return self.variables[name]
        raise self._error(f"no variable {name!r}; {closest(name, self.variables)}", tree.col_offset)

    def _count(self, argument: ast.expr) -> _Node:
        match argument:
            case ast.Name(id=name) | ast.Constant(value=str() as name):
                pass
            case _:
                raise self._error("count() takes one class name", argument.col_offset)
        if name not in self.names:
            raise self._error(f"no class {name!r}; {closest(name, self.names)}", argument.col_offset)
        class_id = self.names.index(name)
        return lambda s, _: int((s.classes == class_id).sum())

    def _error(self, message: str, column: int) -> DataError:
        return DataError(f"expression {self.text!r}, column {column + 1}: {message}")


def closest(word: str, known: Iterable[str]) -> str:
    """For a message: the closest known word, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
