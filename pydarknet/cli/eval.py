# SPDX-License-Identifier: Apache-2.0
"""Command ``pydarknet eval``: its options; the work is in ``_impl/eval.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from pydarknet.cli._impl.options import SIZE, PrecisionOptions, options_from, setting

PROTOCOLS = {"darknet": 0, "voc11": 11, "coco101": 101}
RESULTS = ("coco", "voc", "kaggle")

_EXIT = """\b
Exit codes: 0 measured, 1 failed, 2 wrong usage, 130 interrupted.
"""


@dataclass(frozen=True)
class EvalOptions(PrecisionOptions):
    """Options of ``pydarknet eval``."""

    cfg: str | None = setting(None, "Network configuration (.cfg), in place of CFG.", metavar="FILE")
    weights: str | None = setting(
        None, "Trained weights (.weights), in place of WEIGHTS; those of a run need no cfg.", metavar="FILE"
    )
    data: str = setting(
        "", ".data file, or a data set of any format. Default: that of the run.", metavar="FILE"
    )
    size: tuple[int, int] | None = setting(
        None,
        "Input size in place of the cfg's, e.g. 608 or 608x320.",
        type=SIZE,
        flag=("--size", "--imgsz", "--img-size"),
    )
    split: str = setting(
        "valid", "valid, train, test, or all. A set without splits is used whole.", metavar="NAME"
    )
    protocol: str = setting(
        "darknet",
        "AP in the table: area under the curve, or mean over 11 or 101 points of recall.",
        choices=tuple(PROTOCOLS),
    )
    iou: float = setting(0.5, "Overlap above which a detection is correct.", low=0, high=1, exclusive=True)
    thresh: float = setting(
        0.25, "Confidence from which detections are counted, confused and drawn.", low=0, high=1
    )
    score: float = setting(
        0.005,
        "Lowest confidence of the detections to keep; a higher one lowers every mAP.",
        low=0,
        high=1,
    )
    nms: float = setting(0.45, "Overlap above which the weaker of two boxes is suppressed.", low=0, high=1)
    letterbox: bool | None = setting(
        None, "Fit images by padding or stretching. Default: cfg.", flag="--letterbox/--stretch"
    )
    compare: str | None = setting(
        None,
        "A second network, evaluated on the same images beside the first: weights, a run or a pack.",
        metavar="WEIGHTS",
    )
    compare_cfg: str | None = setting(None, "Cfg of the second network, if it differs.", metavar="FILE")
    worst: int = setting(
        10, "List (with --out, also draw) the N images with most errors.", low=0, metavar="N"
    )
    out: str | None = setting(None, "Write evaluation.json, plots and tables to this folder.", metavar="DIR")
    results: tuple[str, ...] = setting(
        (), "Write the detections for an evaluation server into DIR; may be repeated.", choices=RESULTS
    )
    mapping: str | None = setting(None, "LOC_synset_mapping.txt, for --results kaggle.", metavar="FILE")
    as_json: bool = setting(False, "Print evaluation.json instead of tables.", flag="--json")
    batch: int = setting(4, "Images per inference.", low=1, flag=("--batch", "--batch-size"))
    engine: str = setting("local", "Where to compute; ray spreads images over a Ray cluster.")


@click.command("eval", epilog=_EXIT)
@click.argument("model", nargs=-1, metavar="[CFG WEIGHTS | MODEL]")
@options_from(EvalOptions)
def command(model: tuple[str, ...], **options: Any) -> int:
    """Measure a network on labelled images.

    MODEL is a pack (`pydarknet weights pack`) or the folder of a run, of which the best weights are taken.

    One pass gives Darknet's mAP, COCO's metrics, results by class, object size and number of objects per
    image, the confusion matrix, calibration of the confidences, and the worst images. Boxes that the data
    set marks as difficult, crowd or ignored count neither for nor against a detection.

    \b
    Examples:
      pydarknet eval net.cfg net_best.weights --data obj.data
      pydarknet eval runs/pets
      pydarknet eval runs/pets --data ds/ --split test --out report
      pydarknet eval runs/pets --compare runs/pets2 --data obj.data
      pydarknet eval net.cfg net.weights --data coco.json --out r --results coco
      pydarknet eval net.cfg net.weights --data obj.data --engine ray
    """
    from pydarknet.cli._impl import eval as implementation

    return implementation.run(model, EvalOptions(**options))
