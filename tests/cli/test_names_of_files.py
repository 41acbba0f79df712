# SPDX-License-Identifier: Apache-2.0
"""Names of files that are not UTF-8, not ASCII or otherwise odd, read and written by every command."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tries import Tally, judged_outside, tries

NAMES = st.sampled_from(
    [
        "a\udcff",
        "é",
        "犬",
        "a b",
        "-x",
        "a\nb",
        "a'b",
        '"',
        "%s",
        "~",
        "$HOME",
        "n" * 200,
        "\udc80\udcfe",
        "a=b",
        "😀",
    ]
)


def test_names_of_files(folder: Path, record_property: Callable[[str, object], None]) -> None:
    """Any name of what is read and what is written."""
    tally = Tally("names of files")

    @tries(40)
    @given(NAMES, NAMES, st.integers(0, 5))
    def any_name(source: str, target: str, choice: int) -> None:
        shutil.rmtree("in", ignore_errors=True)
        shutil.rmtree("out", ignore_errors=True)
        shutil.copytree("d", "in/d")
        Path("in/d/a.png").rename(f"in/d/{source}.png")
        Path("in/d/a.txt").rename(f"in/d/{source}.txt")
        shutil.copy("net.weights", f"in/{source}.weights")
        shutil.copy("net.cfg", f"in/{source}.cfg")
        shutil.copy("a.avi", f"in/{source}.avi")
        network = (f"in/{source}.cfg", f"in/{source}.weights")
        formats = [word for name in ("jsonl", "csv", "coco", "yolo", "darknet") for word in ("--to", name)]
        out = f"out/{target}"
        lines = [
            (
                "detect",
                *network,
                f"in/d/{source}.png",
                "--out",
                out,
                *formats,
                "--crops",
                "--sheet",
                f"{out}.png",
            ),
            ("detect", *network, f"in/{source}.avi", "--out", f"{out}.avi", "--to", f"jsonl={out}.jsonl"),
            ("convert", "in/d", "--from", "darknet", "--names", "cat,dog", "--out", out, "--jobs", "1"),
            ("weights", "info", f"in/{source}.weights", f"in/{source}.cfg"),
            ("data", "view", "in/d", "--from", "darknet", "--names", "cat,dog", "--sheet", f"{out}.png"),
            ("cfg", "retune", f"in/{source}.cfg", "--batch", "4", "--out", f"{out}.cfg"),
        ]
        tally.run(*lines[choice])

    try:
        any_name()
    finally:
        record_property("tried", str(tally))


#: Command lines that read and write files of any name: X is part of every name.
EVERY = """
cfg show X.cfg | cfg explain X.cfg | cfg fix X.cfg | cfg memory X.cfg | cfg diff X.cfg net.cfg
info X.cfg --json | cfg retune X.cfg --batch 4 --out oX.cfg | check X.cfg --json
check X.cfg --data X.data --weights X.weights
weights info X.weights --json | weights convert X.cfg X.weights oX.npz
weights convert X.cfg X.weights oX.safetensors
weights pack X.weights oX.tar.gz --cfg X.cfg | weights average X.weights X.weights --out oX.weights
log plot X.csv --out oX.png | log plot X.csv --with X.csv --out oX.png | log advise X.csv | log parse X.csv
runs X | report X --out oX.html | export onnx X.cfg X.weights oX.onnx
anchors --data X.data --num 1 --plot oX.png
eval --cfg X.cfg --weights X.weights --data X.data --out oX --worst 2 | data stats X.data --out oX --images
data view X.data --save oX | detector test X.data X.cfg X.weights a.png -dont_show -out oX.json
detector map X.data X.cfg X.weights | detector valid X.data X.cfg X.weights | convert X.data --out cX --jobs 1
"""


@pytest.mark.parametrize("name", ["a\udcff", "é犬"])
def test_every_command_takes_any_name(
    folder: Path, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tally = Tally(f"commands with {name!a}")
    place = folder / f"any {name!a}"
    place.mkdir()
    for source in ("net.cfg", "net.weights", "log.csv"):
        shutil.copy(source, place / f"{name}{Path(source).suffix}")
    (place / f"{name}.data").write_text("classes = 1\ntrain = train.txt\nvalid = train.txt\nnames = names\n")
    (place / "names").write_text("cat\n")
    for source in ("a.png", "net.cfg", "d/train.txt", "d/a.txt"):
        shutil.copy(source, place)
    shutil.copytree("run", place / name)
    monkeypatch.chdir(place)
    for line in re.split(r" \| |\n", EVERY.strip()):
        tally.run(*(word.replace("X", name) for word in line.split()))
    record_property("tried", str(tally))


PYDARKNET = [sys.executable, "-m", "pydarknet"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
)
def test_processes(
    folder: Path, record_property: Callable[[str, object], None], environment: dict[str, str]
) -> None:
    """The same in processes of their own: in other locales, and where a crash is seen as a signal."""
    tally = Tally(f"processes {environment or 'as they are'}")
    Path("chién.names").write_text("chién-犬\n", "utf-8")
    name = os.fsdecode(b"a\xff")
    shutil.copy("a.png", f"{name}.png")
    shutil.copy("a.avi", f"{name}.avi")
    detect = [*PYDARKNET, "detect", "net.cfg", "net.weights", "--names", os.fsencode("chién.names")]
    for words in (
        [*detect, os.fsencode(f"{name}.png"), "--out", b"out/\xff"],
        [*detect, os.fsencode(f"{name}.avi"), "--out", b"out/\xff.mp4", "--to", "jsonl=-"],
    ):
        tally.tried += 1
        faults = judged_outside(words, **environment)
        tally.failed += faults[:1]
        assert not faults
    record_property("tried", str(tally))
