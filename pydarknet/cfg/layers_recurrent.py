# SPDX-License-Identifier: Apache-2.0
"""Shapes and parameters of the recurrent layers; see ``layers.py`` for the definition of a rule."""

from __future__ import annotations

from pydarknet.cfg.layers import Node, batch_norm, dense, layer, set_shape


@layer("rnn", "gru", "lstm")
def _recurrent(node: Node) -> None:
    output, bn = node.section.integer("output"), node.section.integer("batch_normalize")
    hidden = node.section.integer("hidden") if node.type == "rnn" else output
    set_shape(node, 1, 1, output)
    old, new = (hidden, hidden), (node.inputs, hidden)
    parts: dict[str, dict[str, tuple[int, int]]] = {
        "rnn": {"input": new, "self": old, "output": (hidden, output)},
        "gru": {**{f"input_{x}": new for x in "zrh"}, **{f"state_{x}": old for x in "zrh"}},
        "lstm": {**{f"w{x}": old for x in "figo"}, **{f"u{x}": new for x in "figo"}},
    }
    for name, (inputs, outputs) in parts[node.type].items():
        node.arrays += dense(f"{name}.", inputs, outputs, bn)


@layer("crnn", "conv_lstm")
def _recurrent_convolution(node: Node) -> None:
    section = node.section
    width, height, channels = node.src
    output, size = section.integer("output"), section.integer("size")
    groups = max(section.integer("groups"), 1)
    if section.integer("stride") != 1:
        raise node.section.error("stride", "recurrent convolutions must keep the spatial size")
    if node.type == "conv_lstm" and section.integer("bottleneck"):
        raise node.section.error("bottleneck", "is not supported")
    set_shape(node, width, height, output)
    if node.type == "crnn":
        hidden = section.integer("hidden")
        parts = {"input": (channels, hidden), "self": (hidden, hidden), "output": (hidden, output)}
    else:
        peephole = section.integer("peephole")
        names = ["vf", "vi", "vo"] if peephole else []
        parts = dict.fromkeys([*names, "wf", "wi", "wg", "wo"], (output, output))
        parts |= dict.fromkeys(["uf", "ui", "ug", "uo"], (channels, output))
        node.flops = float((12 if peephole else 9) * node.outputs)
    for name, (inputs, outputs) in parts.items():
        weights = inputs // groups * outputs * size * size
        stored = batch_norm(f"{name}.", outputs) if section.integer("batch_normalize") else []
        node.arrays += [(f"{name}.biases", outputs), *stored, (f"{name}.weights", weights)]
        node.flops += 2.0 * weights * width * height / (32 if section.integer("xnor") else 1)
