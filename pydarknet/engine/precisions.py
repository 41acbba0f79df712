# SPDX-License-Identifier: Apache-2.0
"""Precisions as the C interface spells them; which of them a backend has, :func:`_core.build_info` lists."""

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
