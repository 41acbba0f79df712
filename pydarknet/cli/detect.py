# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detect``: objects in whatever gives pictures; the options. The work is in ``_detect.py``."""

from __future__ import annotations

import click

from pydarknet.cli._impl.options import SIZE, computing, precision_option

FORMATS = ("darknet", "jsonl", "csv", "coco", "yolo", "kaggle-loc")
TRACKERS = ("bytetrack", "sort", "ocsort")


@click.command("detect")
@click.argument("sources", nargs=-1, required=True, metavar="[CFG WEIGHTS] SOURCE...")
@click.option("--cfg", metavar="FILE", help="Network configuration (.cfg).")
@click.option("--weights", metavar="FILE", help="Trained weights (.weights).")
@click.option(
    "--names",
    "--data",
    "names",
    metavar="FILE",
    help="Class names: .names, .data or data.yaml. Default: a .names file or run.json beside the weights.",
)
@click.option("--thresh", type=click.FloatRange(0, 1), default=0.25, show_default=True, help="Confidence.")
@click.option(
    "--nms", type=click.FloatRange(0, 1), default=0.45, show_default=True, help="0: keep all boxes."
)
@click.option(
    "--letterbox/--stretch", default=None, help="Fit images by padding or stretching. Default: cfg."
)
@click.option("--classes", metavar="A,B", help="Report only these classes (names or numbers).")
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take each N-th frame.")
@click.option("--frames", type=click.IntRange(1), metavar="N", help="Stop after so many pictures.")
@click.option(
    "--tile", type=SIZE, help="Look also at tiles of so many pixels; for small objects in large images."
)
@click.option(
    "--overlap",
    type=click.FloatRange(0, 0.9),
    default=0.2,
    show_default=True,
    help="Share of a tile that its neighbour has, too.",
)
@click.option("--track", type=click.Choice(TRACKERS), help="Number objects through a film.")
@click.option("--compare", nargs=2, metavar="A B", help="Two networks side by side; see above.")
@click.option(
    "--out",
    default="predictions",
    show_default=True,
    metavar="DIR|FILE",
    help="Annotated pictures and films.",
)
@click.option("--no-pictures", is_flag=True, help="Write no annotated pictures and films.")
@click.option(
    "--to",
    "formats",
    multiple=True,
    metavar="FORMAT[=FILE]",
    help=f"Detections as {', '.join(FORMATS)}; FILE - is stdout. Default: darknet.",
)
@click.option("--save-labels", is_flag=True, help="YOLO label files in DIR/labels, as --to yolo does.")
@click.option("--save-conf", is_flag=True, help="Confidence in label files.")
@click.option("--mapping", metavar="FILE", help="LOC_synset_mapping.txt, for --to kaggle-loc.")
@click.option("--crops", is_flag=True, help="Each object cut out, in DIR/crops.")
@click.option("--sheet", metavar="FILE", help="All pictures small on one.")
@click.option("--http", metavar="[HOST:]PORT", help="MJPEG and detections for browsers and programs.")
@click.option("--show", is_flag=True, help="Show a window; q ends.")
@click.option("--line-width", type=click.IntRange(1), metavar="N", help="Of boxes. Default: by image size.")
@click.option("--hide-conf", is_flag=True, help="Draw no confidences.")
@click.option("--hide-labels", is_flag=True, help="Draw no names.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Pictures at once.")
@click.option("--engine", default="local", show_default=True, help="ray spreads images over a Ray cluster.")
@click.option(
    "--patience",
    type=click.FloatRange(0.1),
    default=30,
    show_default=True,
    metavar="S",
    help="Give up a live source after so many seconds without a frame.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@precision_option
@computing
def command(sources: tuple[str, ...], **options: object) -> int:
    """Find objects in whatever gives pictures.

    SOURCE is an image, a folder, a pattern, a .txt list, a .zip, a film, a camera (0), a URL (http, rtsp,
    rtmp, YouTube), "screen [monitor] [left top width height]", or - for stdin.
    Files are taken picture by picture; of live sources the newest frame is taken and older ones are dropped.

    An image that cannot be read is reported and the others go on; the exit code is then 1.
    Ctrl-C ends cleanly: what was found until then is written, and the exit code is 130.

    \b
    --compare takes two networks; each is CFG, WEIGHTS, LIBRARY, or several of them with commas between
    (CFG,WEIGHTS,NAMES), what is left out being that of --cfg, --weights and --names. Pictures are side by
    side, DIR/differences.csv has one line per frame, and for two cfgs with the same weights the first layer
    is named whose output differs.

    \b
    Examples:
      pydarknet detect --cfg yolov4.cfg --weights yolov4.weights --names coco.names dog.jpg
      pydarknet detect yolov4.cfg yolov4.weights film.mp4 --out found.mp4 --to jsonl --track bytetrack
      pydarknet detect yolov4.cfg yolov4.weights 0 --http 8090
      pydarknet detect yolov4.cfg yolov4.weights aerial/ --tile 608 --classes car,truck --to csv=cars.csv
      pydarknet detect --cfg yolov4.cfg --compare old.weights new.weights film.mp4
    """
    from pydarknet.cli._impl import detect

    return detect.run(list(sources), detect.Options(**options))  # type: ignore[arg-type]
