# SPDX-License-Identifier: Apache-2.0
"""Time and memory of a conversion, compared with only parsing the same files with lxml.

    python benchmarks/datasets.py ilsvrc --files 20000
    python benchmarks/datasets.py coco --megabytes 500

Sources are made in a temporary folder; memory is the largest resident set of the command and of its workers
together.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import psutil
from lxml import etree

OBJECT = """	<object>
		<name>{wnid}</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>{}</xmin>
			<ymin>{}</ymin>
			<xmax>{}</xmax>
			<ymax>{}</ymax>
		</bndbox>
	</object>
"""
XML = """<annotation>
	<folder>{wnid}</folder>
	<filename>{name}</filename>
	<source>
		<database>ILSVRC_2012</database>
	</source>
	<size>
		<width>500</width>
		<height>375</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>
{objects}</annotation>
"""


def make_ilsvrc(root: Path, files: int) -> None:
    """A tree of 100 synsets whose images are hard links to one file."""
    rng = random.Random(0)
    _, data = cv2.imencode(".jpg", np.zeros((375, 500, 3), np.uint8))
    image = root / "image.jpg"
    image.write_bytes(bytes(data))
    wnids = [f"n{1440764 + i:08d}" for i in range(100)]
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{w} thing {i}\n" for i, w in enumerate(wnids)))
    for number in range(files):
        wnid = wnids[number * 100 // files]
        name = f"{wnid}_{number}"
        folder = root / "ILSVRC/Annotations/CLS-LOC/train" / wnid
        pictures = root / "ILSVRC/Data/CLS-LOC/train" / wnid
        if not folder.is_dir():
            folder.mkdir(parents=True)
            pictures.mkdir(parents=True)
        corners = [(rng.randrange(200), rng.randrange(150)) for _ in range(rng.choice((1, 1, 1, 2)))]
        objects = "".join(OBJECT.format(x, y, x + 150, y + 200, wnid=wnid) for x, y in corners)
        (folder / f"{name}.xml").write_text(XML.format(wnid=wnid, name=name, objects=objects))
        os.link(image, pictures / f"{name}.JPEG")


def make_coco(root: Path, megabytes: int) -> Path:
    """Annotations with polygons of 30 points, about 600 bytes each, as in the real files."""
    rng = random.Random(0)
    file = root / "instances_train.json"
    images = max(1, megabytes * 180)
    with file.open("w") as stream:
        stream.write('{"info": {}, "images": [')
        for number in range(images):
            entry = {"id": number, "file_name": f"{number:012d}.jpg", "width": 640, "height": 480}
            stream.write((", " if number else "") + json.dumps(entry))
        stream.write('], "annotations": [')
        count = 0
        while stream.tell() < megabytes << 20:
            polygon = [round(rng.uniform(0, 400), 2) for _ in range(60)]
            entry = {
                "segmentation": [polygon],
                "area": 702.1,
                "iscrowd": 0,
                "image_id": rng.randrange(images),
            }
            entry |= {
                "bbox": [473.07, 395.93, 38.65, 28.67],
                "category_id": rng.randrange(80) + 1,
                "id": count,
            }
            stream.write((", " if count else "") + json.dumps(entry))
            count += 1
        categories = [{"id": i + 1, "name": f"thing {i}", "supercategory": ""} for i in range(80)]
        stream.write(f'], "categories": {json.dumps(categories)}}}')
    return file


def measured(name: str, command: list[str], folder: Path) -> None:
    """Run a command in a folder and print its time and the peak of its memory, workers included."""
    start = time.perf_counter()
    process = psutil.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    peak = [0]
    watch = threading.Thread(target=_watch, args=(process, peak))
    watch.start()
    code = process.wait()
    seconds = time.perf_counter() - start
    watch.join()
    print(f"{name:40} {seconds:7.1f} s  {peak[0] / 2**20:6.0f} MiB  exit {code}")


def _watch(process: psutil.Process, peak: list[int]) -> None:
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        try:
            family = [process, *process.children(recursive=True)]
            peak[0] = max(peak[0], sum(member.memory_info().rss for member in family))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.02)


def timed(name: str, work: Callable[[], object]) -> None:
    """Run a function and print its time."""
    start = time.perf_counter()
    work()
    print(f"{name:40} {time.perf_counter() - start:7.1f} s")


def main() -> None:
    """Make the source, convert it, and parse it with the bare library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["ilsvrc", "coco"])
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    convert = [sys.executable, "-m", "pydarknet", "convert"]
    root = Path(tempfile.mkdtemp(prefix="pydarknet-bench-")).absolute()
    try:
        if given.what == "ilsvrc":
            make_ilsvrc(root, given.files)
            files = sorted(root.rglob("*.xml"))
            timed(f"lxml alone, {len(files)} files, one core", lambda: [etree.parse(str(f)) for f in files])
            jobs = ["--jobs", str(given.jobs)]
            measured(
                f"convert, {given.jobs} jobs", [*convert, str(root), "--out", str(root / "ds"), *jobs], root
            )
        else:
            file = make_coco(root, given.megabytes)
            size = f"{file.stat().st_size / 2**20:.0f} MiB"
            options = ["--missing-images", "keep", "--to", "csv", "--jobs", str(given.jobs)]
            if given.megabytes <= 100:
                timed(f"json alone, {size}", lambda: json.loads(file.read_text()))
            measured(f"convert {size}", [*convert, str(file), "--out", str(root / "ds.csv"), *options], root)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
