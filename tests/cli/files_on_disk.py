# SPDX-License-Identifier: Apache-2.0
"""One small good file of each kind that commands read, in the working folder."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np

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
