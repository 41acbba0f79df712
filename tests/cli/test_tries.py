# SPDX-License-Identifier: Apache-2.0
"""Properties through the command line: whatever a file contains, a command ends with a message or a result.

``PYDARKNET_TRIES=2000 pytest tests/cli/test_tries.py`` tries more.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tries import Tally, damaged, judged, judged_outside, tries

from pydarknet import cli

CONVERT = "convert --out out --jobs 1"
DETECT = "detect net.cfg net.weights --no-pictures --out out"

#: What is damaged -> files, and the command lines that read them. Several files are damaged one at a time.
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cfg": (
        ("net.cfg",),
        ("info net.cfg", "cfg show net.cfg", "cfg explain net.cfg", "cfg fix net.cfg", f"{DETECT} a.png",
         "check net.cfg --data d/obj.data", "cfg retune net.cfg --batch 8 --max-batches 50"),
    ),
    "weights": (("net.weights",), ("weights info net.weights net.cfg", f"{DETECT} a.png")),
    "names": (("d/obj.names",), (f"{DETECT} --names d/obj.names a.png", f"{CONVERT} d/obj.data")),
    "labels": (
        ("d/a.txt", "d/obj.data", "d/train.txt", "data.yaml"),
        (f"{CONVERT} d/obj.data", "data stats d/obj.data", "check net.cfg --data d/obj.data",
         f"{CONVERT} data.yaml"),
    ),
    "annotations": (
        ("coco.json", "a.xml", "boxes.csv", "tasks.json", "a.odgt"),
        (f"{CONVERT} coco.json", f"{CONVERT} a.xml --from voc",
         f"{CONVERT} boxes.csv", f"{CONVERT} tasks.json",
         f"{CONVERT} a.odgt --from crowdhuman"),
    ),
    "archives": (
        ("a.zip", "a.tar.gz"),
        (f"{CONVERT} a.zip", f"{CONVERT} a.tar.gz", f"{DETECT} a.zip",
         "detect a.tar.gz a.png --no-pictures --out out"),
    ),
    "logs": (
        ("log.txt", "log.csv", "log.jsonl"),
        ("log advise log.txt", "log advise log.csv", "log advise log.jsonl", "log parse log.txt --out o.csv"),
    ),
    "runs": (
        ("run/run.json", "run/results.csv", "run/results.jsonl", "run/train.log", "run/evaluation.json",
         "run/findings.jsonl", "run/net.cfg"),
        ("runs run", "report run --out out/r.html", "log advise run", "weights pack run out/p.tar.gz"),
    ),
    "images": (
        ("a.png", "a.jpg", "a.bmp", "a.webp", "a.gif", "a.tiff", "a.ppm"),
        (f"{DETECT} a.png a.jpg a.bmp a.webp a.gif a.tiff a.ppm", "data stats d/obj.data"),
    ),
    "video": (("a.avi",), (f"{DETECT} a.avi",)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(folder: Path, record_property: Callable[[str, object], None], kind: str) -> None:
    files, lines = KINDS[kind]
    good = {name: Path(name).read_bytes() for name in files}
    tally = Tally(kind)

    @tries(max(40, 12 * len(lines)))
    @given(st.data())
    def property_of_kind(data: st.DataObject) -> None:
        line = data.draw(st.sampled_from(lines))
        named = [name for name in files if name in line.split()] or list(files)
        victim = data.draw(st.sampled_from(named))
        shutil.rmtree("out", ignore_errors=True)
        shutil.rmtree("cache", ignore_errors=True)
        try:
            Path(victim).write_bytes(data.draw(damaged(good[victim])))
            tally.run(*line.split())
        finally:
            Path(victim).write_bytes(good[victim])

    try:
        property_of_kind()
    finally:
        record_property("tried", str(tally))


#: Command lines that read X in each place where a file can be named.
READ = """
info X | cfg show X | cfg explain X | cfg fix X | cfg retune X --batch 4 | cfg diff X net.cfg
check X | check net.cfg --data X | check net.cfg --weights X
detect X net.weights a.png | detect net.cfg X a.png --weights X | detect --cfg net.cfg --weights X a.png
detect net.cfg net.weights X | detect net.cfg net.weights --names X a.png | detect net.cfg net.weights X.png
detect net.cfg net.weights a.png --to kaggle-loc --mapping X
weights info X | weights info net.weights X | weights diff net.weights X | weights pack X p.tar.gz
convert X --out out | convert d/obj.data --classes X --out out | convert d/obj.data --class-map X --out out
convert X --from darknet --out out | convert X --from coco --out out | convert X --from voc --out out
convert X --from csv --out out | convert X --from crowdhuman --out out | convert X --from yolov5 --out out
data stats X | data split X --out out | anchors X | eval --cfg X --weights net.weights --data d/obj.data
eval --cfg net.cfg --weights net.weights --data X | log advise X | log parse X | log plot X --out o.png
runs X | report X | train --cfg X --data d/obj.data --out out | train --cfg net.cfg --data X --out out
train --cfg net.cfg --data d/obj.data --weights X --out out | train --resume X
detector test d/obj.data X net.weights a.png | detector test X net.cfg net.weights a.png
detector map X net.cfg net.weights | detector calc_anchors X -num_of_clusters 2 -width 32 -height 32
"""


@pytest.mark.parametrize(
    "kind", ["folder", "device", "pipe", "socket", "missing", "empty", "endless", "loop"]
)
def test_what_is_not_a_file(folder: Path, record_property: Callable[[str, object], None], kind: str) -> None:
    """Where a file is expected, each of these is a message, and none is waited for or read without end."""
    tally = Tally(f"a {kind} for a file")
    path = {"device": "/dev/zero", "socket": "sock"}.get(kind, f"{kind}.txt")
    make_special(kind, path)
    try:
        for line in re.split(r" \| |\n", READ.strip()):
            shutil.rmtree("out", ignore_errors=True)
            tally.run(*line.replace("X", path).split(), seconds=30)
    finally:
        record_property("tried", str(tally))
    assert kind not in ("pipe", "socket") or not stat.S_ISREG(Path(path).lstat().st_mode)


def make_special(kind: str, path: str) -> None:
    if kind == "folder":
        Path(path).mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
    elif kind == "empty":
        Path(path).touch()
    elif kind == "endless":
        with Path(path).open("wb") as file:
            file.truncate(1 << 42)
    elif kind == "loop":
        Path(path).symlink_to(path)


# -- the judge itself


def _a_defect() -> None:
    raise KeyError("size")


def _a_traceback() -> None:
    print("Traceback (most recent call last):", file=sys.stderr)


def _memory() -> None:
    bytearray(1 << 40)


def _an_endless_loop() -> None:
    while True:
        pass


def _silence() -> int:
    return 3


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        (_a_defect, "a defect"),
        (_a_traceback, "a traceback"),
        (_memory, "takes too much memory"),
        (_an_endless_loop, "takes more than 0.5 s"),
        (_silence, "fails without a message"),
    ],
)
def test_a_planted_fault_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, planted: Callable[[], object], fault: str
) -> None:
    monkeypatch.setattr(cli, "cli", lambda **_: planted())
    assert judged("info", seconds=0.5)[0] == fault
    tally = Tally("planted")
    with pytest.raises(AssertionError, match=fault):
        tally.run("info", seconds=0.5)
    assert str(tally) == "planted: 1 tried, 1 failed"


def test_a_planted_signal_is_found() -> None:
    code = f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})"
    assert (
        judged_outside([sys.executable, "-c", code])[0] == f"ended by a signal, exit code {-signal.SIGSEGV}"
    )


def test_sound_commands_have_no_fault(folder: Path) -> None:
    assert judged("info", "net.cfg") == []
    assert judged("info", "missing.cfg") == []
