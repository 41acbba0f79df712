# SPDX-License-Identifier: Apache-2.0
"""Command ``pydarknet detect``: its options; the work is in ``_impl/detect.py``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pydarknet.cli._impl.options import PrecisionOptions, options_from, setting
from pydarknet.streaming.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES

FORMATS = ("darknet", "jsonl", "csv", "coco", "yolo", "kaggle-loc", "labelstudio", "cvat")
TRACKERS = ("bytetrack", "sort", "ocsort", "botsort", "cbiou", "mcbyte")


@dataclass(frozen=True)
class DetectOptions(PrecisionOptions):
    """Options of ``pydarknet detect``."""

    cfg: str | None = setting(None, "Network configuration (.cfg).", metavar="FILE")
    weights: str | None = setting(
        None, "Trained weights (.weights), a pack (.tar.gz or folder) or the folder of a run.", metavar="FILE"
    )
    names: str | None = setting(
        None,
        "Class names: .names, .data or data.yaml. Default: a .names file or run.json beside the weights.",
        flag=("--names", "--data"),
        metavar="FILE",
    )
    thresh: float = setting(
        0.25,
        "Confidence above which an object is reported.",
        flag=("--thresh", "--conf", "--conf-thres"),
        low=0,
        high=1,
    )
    nms: float = setting(
        0.45,
        "Overlap above which the weaker of two boxes is suppressed; 0 keeps all.",
        flag=("--nms", "--iou-thres"),
        low=0,
        high=1,
    )
    size: tuple[int, int] | None = setting(
        None,
        "Input size in place of the cfg's, e.g. 608 or 608x320.",
        flag=("--size", "--imgsz", "--img-size"),
    )
    letterbox: bool | None = setting(
        None, "Fit images by padding or stretching. Default: cfg.", flag="--letterbox/--stretch"
    )
    classes: str | None = setting(None, "Report only these classes (names or numbers).", metavar="A,B")
    max_det: int | None = setting(
        None, "Report at most N objects of an image, the most confident ones.", low=1, metavar="N"
    )
    agnostic: bool = setting(
        False,
        "Suppress overlapping boxes of different classes, too.",
        flag=("--agnostic", "--agnostic-nms"),
    )
    every: int = setting(1, "Process every Nth frame.", low=1, metavar="N")
    frames: int | None = setting(None, "Stop after N images.", low=1, metavar="N")
    tile: tuple[int, int] | None = setting(
        None, "Also run on tiles of WxH pixels; for small objects in large images."
    )
    overlap: float = setting(0.2, "Overlap between neighbouring tiles, as a fraction.", low=0, high=0.9)
    track: str | None = setting(None, "Track objects across frames.", choices=TRACKERS)
    compare: tuple[str, str] | None = setting(
        None, "Compare two networks side by side; see above.", metavar="A B"
    )
    out: str = setting("predictions", "Annotated images and videos.", metavar="DIR|FILE")
    no_pictures: bool = setting(False, "Do not write annotated images and videos.")
    formats: tuple[str, ...] = setting(
        (),
        f"Detections as {', '.join(FORMATS)}; FILE - is stdout. Default: darknet.",
        flag="--to",
        metavar="FORMAT[=FILE]",
    )
    save_labels: bool = setting(False, "Write YOLO label files to DIR/labels, like --to yolo.")
    save_conf: bool = setting(False, "Write confidences into label files.")
    mapping: str | None = setting(None, "LOC_synset_mapping.txt, for --to kaggle-loc.", metavar="FILE")
    crops: bool = setting(False, "Write each object as an image of its own to DIR/crops.")
    sheet: str | None = setting(None, "Write one image with all images as thumbnails.", metavar="FILE")
    http: str | None = setting(
        None, "Serve MJPEG and detections for browsers and programs.", metavar="[HOST:]PORT"
    )
    show: bool = setting(False, "Show a window; q quits.")
    line_width: int | None = setting(
        None,
        "Width of box lines in pixels. Default: by image size.",
        flag=("--line-width", "--line-thickness"),
        low=1,
        metavar="N",
    )
    hide_conf: bool = setting(False, "Do not draw confidences.")
    hide_labels: bool = setting(False, "Do not draw class names.")
    batch: int = setting(1, "Images per inference.", low=1, flag=("--batch", "--batch-size"))
    engine: str = setting("local", "Where to compute; ray spreads images over a Ray cluster.")
    patience: float = setting(30, "Stop a live source after N seconds without a frame.", low=0.1, metavar="N")
    as_json: bool = setting(False, "Print the summary as JSON.", flag="--json")
    quiet: bool = setting(False, "Print errors and warnings only.", flag=("-q", "--quiet"))

    @property
    def folder(self) -> Path:
        """Folder of the files that have no name of their own."""
        out = Path(self.out)
        return out.parent if out.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES else out

    @property
    def detecting(self) -> dict[str, Any]:
        """Arguments of :func:`pydarknet.streaming.detector.make_detector`."""
        names = ("thresh", "nms", "letterbox", "max_det", "agnostic", "tile", "overlap")
        classes = None if self.classes is None else self.classes.split(",")
        return {**{name: getattr(self, name) for name in names}, "classes": classes}


@click.command("detect")
@click.argument("sources", nargs=-1, required=True, metavar="[CFG WEIGHTS | MODEL] SOURCE...")
@options_from(DetectOptions)
def command(sources: tuple[str, ...], **options: Any) -> int:
    """Detect objects in images, videos, cameras and streams.

    MODEL is a pack (`pydarknet weights pack`) or the folder of a run, of which the best weights are taken.
    SOURCE is an image, a folder, a pattern, a .txt list, a .zip, a video, a camera (0), a URL (http, rtsp,
    rtmp, YouTube), "screen [monitor] [left top width height]", or - for stdin.
    Of files every image is processed; of live sources the newest frame, and older ones are dropped.

    An image that cannot be read is reported and skipped; the exit code is then 1.
    After Ctrl-C everything detected so far is written; the exit code is then 130.

    --compare takes two networks; each is CFG, WEIGHTS, LIBRARY, or several of them separated by commas
    (CFG,WEIGHTS,NAMES); missing ones are those of --cfg, --weights and --names. Images are drawn side by
    side, DIR/differences.csv has one line per frame, and for two cfgs with the same weights the first layer
    whose output differs is reported.

    \b
    Examples:
      pydarknet detect --cfg yolov4.cfg --weights yolov4.weights --names coco.names dog.jpg
      pydarknet detect yolov4.cfg yolov4.weights video.mp4 --out found.mp4 --to jsonl --track bytetrack
      pydarknet detect yolov4.cfg yolov4.weights 0 --http 8090
      pydarknet detect runs/pets photos/ --size 608
      pydarknet detect yolov4.cfg yolov4.weights aerial/ --tile 608 --classes car,truck --to csv=cars.csv
      pydarknet detect --cfg yolov4.cfg --compare old.weights new.weights video.mp4
    """
    from pydarknet.cli._impl import detect

    return detect.run(list(sources), DetectOptions(**options))
