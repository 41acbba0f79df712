# SPDX-License-Identifier: Apache-2.0
"""Command lines with damaged input, run and judged: no traceback, no signal, bounded memory and time."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from pydarknet import cli
from pydarknet.cli._impl.failures import DEFECT

MEMORY = 3 << 30  # bytes that a command may take beyond what the process has
SECONDS = 60.0  # far more than any of these commands takes on a busy machine

#: Examples of a property; ``PYDARKNET_TRIES=2000`` tries others, at random.
_ASKED = int(os.environ.get("PYDARKNET_TRIES", "0"))


def tries(examples: int) -> settings:
    """Settings of a property: the same examples in each run, unless more are asked for."""
    return settings(max_examples=_ASKED or examples, derandomize=not _ASKED, deadline=None, database=None)


class TooSlow(BaseException):
    """The time is over; nothing in a command catches this."""


@dataclass
class Tally:
    """What was tried, and the faults found."""

    name: str
    tried: int = 0
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.name}: {self.tried} tried, {len(self.failed)} failed"

    def run(self, *words: str, seconds: float = SECONDS) -> None:
        """Try a command line in this process; a fault fails the test."""
        faults = judged(*words, seconds=seconds)
        self.tried += 1
        if faults:
            self.failed.append(f"{' '.join(words)!r}: {'; '.join(faults)}")
        assert not faults, self.failed[-1]


def judged(*words: str, seconds: float = SECONDS) -> list[str]:
    """The faults of a command line that runs in this process."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
    code: object = None
    with pytest.MonkeyPatch.context() as patch, _bounded(seconds):
        patch.setattr(sys, "argv", ["pydarknet", *words])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setattr(logging.getLogger(), "handlers", [])  # pytest's own
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        except TooSlow:
            return [f"takes more than {seconds:g} s"]
    said = [bytes(stream.buffer.getvalue()) for stream in (out, err)]  # type: ignore[attr-defined]
    return faults_of(code, *said)


def judged_outside(words: Sequence[str | bytes], seconds: float = SECONDS, **environment: str) -> list[str]:
    """The faults of a command line that runs in a process of its own; ``words`` begins with the program."""
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **environment},
            capture_output=True,
            check=False,
            timeout=seconds,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY * 2, MEMORY * 2)),
        )
    except subprocess.TimeoutExpired:
        return [f"takes more than {seconds:g} s"]
    return faults_of(done.returncode, done.stdout, done.stderr)


def faults_of(code: object, out: bytes, err_: bytes) -> list[str]:
    """What is wrong with an exit code and the text on stdout and stderr."""
    err, faults = err_.decode("utf-8", "replace"), []
    if not isinstance(code, int):
        faults.append(f"the exit code is {code!r}")
    elif code < 0 or code > 128:
        faults.append(f"ended by a signal, exit code {code}")
    elif code == DEFECT:
        faults.append("a defect")
    if "Traceback (most recent call last)" in err:
        faults.append("a traceback")
    if re.search("out of memory", err, re.IGNORECASE):
        faults.append("takes too much memory")
    if code and not (out + err_).strip():
        faults.append("fails without a message")
    return [*faults, err.strip()[-300:]] if faults else []


@contextlib.contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Limit the memory of this process, and the time of a block."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, over)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:  # noqa: PTH123
        pages = int(file.read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MEMORY, hard))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)


# -- damaged files

_WORDS = (
    b"-1 0 1e999 -1e999 nan inf 1e-320 99999999999999999999 2147483648 0x10 1,2 ,, = [ ] { } < > \" ' \\ / "
    b".. \xff \xfe\xff \xef\xbb\xbf \x00 \r \t true null [] {} - % $ ~ ../../x /dev/null"
)
_LONG = (b"9" * 400, b"a" * 300, b"[" * 5000)
TOKENS = (*_WORDS.split(b" "), *_LONG, b"", b"\n", b" ", b"\xc3\xa9", b"\xe7\x8a\xac")

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")

_DAMAGE = ("number", "number", "insert", "replace", "delete", "repeat", "cut", "flip")


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes of a file after one to three kinds of damage."""
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(
            st.sampled_from(("number", "number", "insert", "replace", "delete", "repeat", "cut", "flip"))
        )
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from((1, 2, 4, 16, 200))))
        token = draw(st.sampled_from(TOKENS))
        if kind == "number" and (numbers := list(_NUMBER.finditer(data))):
            start, end = draw(st.sampled_from(numbers)).span()
            data = data[:start] + token + data[end:]
        elif kind == "insert":
            data = data[:start] + token + data[start:]
        elif kind == "delete":
            data = data[:start] + data[end:]
        elif kind == "repeat":
            data = data[:end] + data[start:end] * draw(st.sampled_from((1, 3))) + data[end:]
        elif kind == "cut":
            data = data[:start]
        elif kind == "flip":
            data = data[:start] + bytes(byte ^ 0xFF for byte in data[start:end]) + data[end:]
        else:
            data = data[:start] + token + data[end:]
    return data
