# SPDX-License-Identifier: Apache-2.0
"""Precisions as the C interface spells them; which of them a backend has, :func:`_core.build_info` lists."""

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


def bytes_per_value(precision: str) -> int:
    """Bytes that a stored activation takes: 2 in bf16 and fp16, else 4."""
    return 2 if precision in ("bf16", "fp16") else 4
