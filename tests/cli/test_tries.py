# SPDX-License-Identifier: Apache-2.0
"""Properties through the command line: whatever a file contains, a command ends with a message or a result.

``PYDARKNET_TRIES=2000 pytest tests/cli/test_tries.py`` tries more.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tries import Tally, damaged, judged, judged_outside, tries

from pydarknet import cli
from pydarknet.engine import selftest

CFG = (
    selftest.CFG.replace(
        "[net]", "[net]\nbatch=2\nsubdivisions=1\nlearning_rate=0.01\nmax_batches=100\nsteps=50,80"
    )
    + "random=0\nignore_thresh=.7\n"
)
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 9, 9], "score": 0.5}],
    "categories": [{"id": 1, "name": "cat"}],
}
VOC = (
    "<annotation><filename>a.png</filename><size><width>40</width><height>30</height></size><object><name>cat"
    "</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax></bndbox></object></annotation>"
)
LOG = "\n".join(
    f" {i}: {9 / i:.6f}, {9 / i:.6f} avg loss, 0.001 rate, 0.5{i} seconds, {64 * i} images, 1.5 hours left\n"
    f"v3 (iou loss, Normalizer: (iou: 0.07, obj: 1.00, cls: 1.00) Region 82 Avg (IOU: 0.5), count: {i}, "
    f"class_loss = 0.1, iou_loss = 0.2, total_loss = 0.3"
    for i in range(1, 9)
)
CSV_LOG = "iteration,loss,avg_loss,rate,map\n" + "".join(
    f"{i},{9 / i},{9 / i},0.001,0.5\n" for i in range(1, 9)
)
JSON_LOG = "".join(f'{{"iteration": {i}, "loss": {9 / i}, "map": 0.5}}\n' for i in range(1, 9))
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One good file of each kind, in the working folder."""
    place = tmp_path_factory.mktemp("tries")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        patch.setenv("TMPDIR", str(place))
        patch.setattr("tempfile.tempdir", str(place))
        make_files()
        yield place


def make_files() -> None:
    Path("net.cfg").write_text(CFG)
    floats = np.concatenate(selftest._PARAMETERS).astype("<f4")
    Path("net.weights").write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + floats.tobytes())
    Path("d").mkdir()
    pixels = np.arange(1200, dtype=np.uint8).reshape(30, 40) // 5
    for suffix in ("png", "jpg", "bmp", "webp", "gif", "tiff", "ppm"):
        cv2.imwrite(f"a.{suffix}", np.dstack([pixels] * 3))
    shutil.copy("a.png", "d/a.png")
    Path("d/a.txt").write_text("0 0.5 0.5 0.25 0.25\n0 0.25 0.5 0.125 0.5\n")
    Path("d/obj.names").write_text("cat\ndog\n")
    Path("d/train.txt").write_text("a.png\n")
    Path("d/obj.data").write_text("classes = 2\ntrain = train.txt\nvalid = train.txt\nnames = obj.names\n")
    Path("data.yaml").write_text("train: d\nval: d\nnc: 2\nnames: [cat, dog]\n")
    Path("coco.json").write_text(json.dumps(COCO))
    Path("a.xml").write_text(VOC)
    Path("boxes.csv").write_text(
        "filename,width,height,class,xmin,ymin,xmax,ymax\na.png,40,30,cat,1,2,30,20\n"
    )
    value = {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["cat"]}
    result = {"type": "rectanglelabels", "original_width": 40, "original_height": 30, "value": value}
    Path("tasks.json").write_text(
        json.dumps([{"data": {"image": "a.png"}, "annotations": [{"result": [result]}]}])
    )
    person = {"tag": "person", "fbox": [1, 2, 9, 9], "vbox": [1, 2, 8, 8], "hbox": [1, 2, 3, 3], "extra": {}}
    Path("a.odgt").write_text(json.dumps({"ID": "a", "gtboxes": [person]}) + "\n")
    with (
        zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        tarfile.open("a.tar.gz", "w:gz") as tar,
    ):
        for name in ("d/a.png", "d/a.txt", "d/obj.names", "net.cfg", "net.weights"):
            archive.write(name)
            tar.add(name)
    Path("log.txt").write_text(LOG)
    Path("log.csv").write_text(CSV_LOG)
    Path("log.jsonl").write_text(JSON_LOG)
    make_run(Path("run"))
    writer = cv2.VideoWriter("a.avi", cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for level in (9, 90):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()


def make_run(run: Path) -> None:
    (run / "weights").mkdir(parents=True)
    shutil.copy("net.cfg", run)
    shutil.copy("net.weights", run / "weights/net_best.weights")
    session = {"host": "x", "pid": 1, "started": "2024-01-01T00:00:00+00:00", "threads": 2, "backend": "ref"}
    config = {"cfg": "net.cfg", "data": "obj.data", "out": "run", "size": [32, 32]}
    about = {"sessions": [session], "config": config, "names": ["cat"], "result": {"reason": "finished"}}
    (run / "run.json").write_text(json.dumps(about))
    (run / "results.csv").write_text(CSV_LOG)
    (run / "results.jsonl").write_text(JSON_LOG)
    (run / "train.log").write_text(LOG)
    (run / "findings.jsonl").write_text('{"id": "D-01", "iteration": 3, "text": "t", "hint": "h"}\n')
    (run / "evaluation.json").write_text(
        '{"iteration": 8, "map50": 0.5, "classes": [{"name": "cat", "ap": 0.5, "truths": 3}], "images": 3}'
    )


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
