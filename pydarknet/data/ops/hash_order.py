# SPDX-License-Identifier: Apache-2.0
"""Seeded shuffling that depends on names, not on the order in which files were found."""

from __future__ import annotations

import hashlib

from pydarknet.system.text import encode


def rank(seed: int, text: str) -> bytes:
    """A sort key that shuffles: the same seed and text give the same key on every machine."""
    return hashlib.sha256(encode(f"{seed}|{text}")).digest()
