# SPDX-License-Identifier: Apache-2.0
"""``pydarknet eval``: how good a network is, in numbers, pictures and files; the work is in ``_eval.py``."""

from __future__ import annotations

import click

from pydarknet.cli._impl.options import computing, network_files, precision_option

PROTOCOLS = {"darknet": 0, "voc11": 11, "coco101": 101}
RESULTS = ("coco", "voc", "kaggle")

_EXIT = """\b
Exit codes: 0 measured, 1 failed, 2 wrong usage, 130 interrupted.
"""


@click.command("eval", epilog=_EXIT)
@network_files
@click.option("--data", required=True, metavar="FILE", help=".data file, or a data set of any format.")
@click.option(
    "--split",
    metavar="NAME",
    default="valid",
    show_default=True,
    help="valid, train, test, or all. A set without splits is taken whole.",
)
@click.option(
    "--protocol",
    type=click.Choice(list(PROTOCOLS)),
    default="darknet",
    show_default=True,
    help="Of the AP in the table: area under the curve, or the mean over 11 or 101 points of recall.",
)
@click.option(
    "--iou",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Overlap above which a detection is right.",
)
@click.option(
    "--thresh",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    help="Confidence from which detections are counted, confused and drawn.",
)
@click.option(
    "--score",
    type=click.FloatRange(0, 1),
    default=0.005,
    show_default=True,
    help="Confidence from which detections are kept at all; a higher one makes every mAP lower.",
)
@click.option(
    "--nms",
    type=click.FloatRange(0, 1),
    default=0.45,
    show_default=True,
    help="Overlap above which the weaker of two boxes is suppressed.",
)
@click.option("--letterbox/--stretch", default=None, help="How images are fitted. Default: as the cfg says.")
@click.option(
    "--compare", metavar="WEIGHTS", help="A second network, judged on the same images beside the first."
)
@click.option("--compare-cfg", metavar="FILE", help="Its cfg, if it has another.")
@click.option(
    "--worst",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    metavar="N",
    help="List (and with --out draw) so many of the images with most mistakes.",
)
@click.option("--out", metavar="DIR", help="Write evaluation.json, pictures and tables there.")
@click.option(
    "--results",
    type=click.Choice(RESULTS),
    multiple=True,
    help="Write the detections for an evaluation server into DIR; may be repeated.",
)
@click.option("--mapping", metavar="FILE", help="LOC_synset_mapping.txt, for --results kaggle.")
@click.option("--json", "as_json", is_flag=True, help="Print evaluation.json instead of tables.")
@click.option("--batch", type=click.IntRange(1), default=4, show_default=True, help="Images at once.")
@precision_option
@computing
def command(**options: object) -> int:
    """Measure a network on labelled images.

    In one pass: Darknet's mAP, COCO's numbers, every class, small and large objects, empty and crowded
    images, what is taken for what, whether confidences can be believed, and the worst images. Boxes that the
    data set calls difficult, a crowd or to be ignored count neither for nor against a detection.

    \b
    Examples:
      pydarknet eval --cfg net.cfg --weights net_best.weights --data obj.data
      pydarknet eval --cfg net.cfg --weights net_best.weights --data ds/ --split test --out report
      pydarknet eval --cfg net.cfg --weights old.weights --compare new.weights --data obj.data
      pydarknet eval --cfg net.cfg --weights net.weights --data coco.json --out r --results coco
    """
    from pydarknet.cli._impl import eval as implementation

    return implementation.run(implementation.Options(**options))  # type: ignore[arg-type]
