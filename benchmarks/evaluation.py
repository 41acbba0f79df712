# SPDX-License-Identifier: Apache-2.0
"""Time of the evaluation of stored detections, compared with faster-coco-eval and pycocotools in one run.

    pip install faster-coco-eval pycocotools
    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --slow     # pycocotools as well

The detections are generated from a seed: most truths are detected, some several times, some with a shifted
box or a wrong class; the rest are weak false detections.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pydarknet.evaluation.bootstrap import compare
from pydarknet.evaluation.coco import coco
from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.evaluation import Evaluation

SIZE = (640, 480)


def made_up(images: int, classes: int, detections: int, seed: int = 0) -> list[Judged]:
    """Images with 7 truths on average, classes as unequal as in real data sets."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, classes + 1)
    share /= share.sum()

    def boxes(count: int) -> np.ndarray:
        side = np.exp(rng.uniform(np.log(8), np.log(300), (count, 2)))
        centre = rng.uniform(0, SIZE, (count, 2))
        return np.concatenate([centre - side / 2, centre + side / 2], 1)

    found = []
    for number in range(images):
        m = 1 + int(rng.geometric(1 / 6.5))
        truths, labels = boxes(m), rng.choice(classes, m, p=share)
        near = rng.integers(0, m, int(rng.integers(m, 4 * m + 1)))
        side = np.tile(truths[near, 2:] - truths[near, :2], 2)
        close = truths[near] + side * rng.normal(0, rng.exponential(0.08, (len(near), 1)), (len(near), 4))
        guess = np.where(rng.random(len(near)) < 0.9, labels[near], rng.choice(classes, len(near), p=share))
        n = max(0, int(rng.poisson(detections)) - len(near))
        found.append(
            Judged(
                np.concatenate([close, boxes(n)]).astype(np.float32),
                np.concatenate([rng.beta(2, 2, len(near)), rng.beta(1, 20, n)]).astype(np.float32),
                np.concatenate([guess, rng.choice(classes, n, p=share)]),
                truths,
                labels,
                crowd=rng.random(m) < 0.01,
                path=f"{number:06d}.jpg",
                size=SIZE,
            )
        )
    return found


def as_coco(images: list[Judged], classes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same as COCO's annotations and results."""

    def sides(boxes: np.ndarray) -> list[list[float]]:
        return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1, dtype=float).tolist()

    annotations, results = [], []
    for number, image in enumerate(images, 1):
        assert image.crowd is not None
        for box, label, crowd in zip(sides(image.truths), image.truth_classes, image.crowd, strict=True):
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": int(label) + 1}
            annotations.append({**entry, "bbox": box, "area": box[2] * box[3], "iscrowd": int(crowd)})
        for box, label, score in zip(sides(image.boxes), image.classes, image.scores, strict=True):
            entry = {"image_id": number, "category_id": int(label) + 1}
            results.append({**entry, "bbox": box, "score": float(score)})
    names = [{"id": i + 1, "name": f"thing {i}"} for i in range(classes)]
    pictures = [
        {"id": i, "width": SIZE[0], "height": SIZE[1], "file_name": image.path}
        for i, image in enumerate(images, 1)
    ]
    return {"info": {}, "images": pictures, "annotations": annotations, "categories": names}, results


def timed(name: str, work: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """The shortest time of some repetitions, printed, and the result."""
    best, result = float("inf"), None
    for _ in range(repeat):
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            result = work()
        best = min(best, time.perf_counter() - start)
    print(f"{name:60} {best:8.2f} s", flush=True)
    return best, result


def peer(kind: str, truths: dict[str, Any], results: list[dict[str, Any]], repeat: int) -> tuple[float, Any]:
    """The peer's time for matching and ranking alone: its index and its list of results are made before."""
    if kind == "faster-coco-eval":
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as Evaluator
    else:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval as Evaluator
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = truths
        truth.createIndex()
        found = truth.loadRes(results)

    def work() -> Any:
        evaluator = Evaluator(truth, found, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
        return evaluator.stats

    return timed(f"{kind}: evaluate, accumulate, summarize", work, repeat)


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--detections", type=int, default=100, help="in an image, on average")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--slow", action="store_true", help="pycocotools as well")
    given = parser.parse_args()
    images = made_up(given.images, given.classes, given.detections)
    names = [f"thing {i}" for i in range(given.classes)]
    print(
        f"{len(images)} images, {given.classes} classes, {sum(len(i.scores) for i in images)} detections, "
        f"{sum(len(i.truths) for i in images)} truths"
    )
    timed(
        "pydarknet: the whole Evaluation, to_dict()",
        lambda: Evaluation(images, names).to_dict(),
        given.repeat,
    )
    ours, report = timed(
        "pydarknet: COCO's part, from the list of images", lambda: coco(images, names), given.repeat
    )
    truths, results = as_coco(images, given.classes)
    for kind in ["faster-coco-eval", *(["pycocotools"] if given.slow else [])]:
        seconds, stats = peer(kind, truths, results, given.repeat if kind != "pycocotools" else 1)
        worst = np.abs(np.nan_to_num(list(report.stats.values()), nan=-1) - stats[:12]).max()
        print(f"    {seconds / ours:.1f} times ours; largest difference in the twelve numbers {worst:.1e}")
    other = made_up(given.images, given.classes, given.detections, seed=1)
    other = [
        Judged(b.boxes, b.scores, b.classes, a.truths, a.truth_classes, None, a.crowd, a.path, a.size)
        for a, b in zip(images, other, strict=True)
    ]
    pair = Evaluation(images, names), Evaluation(other, names)
    timed("pydarknet: two models compared, 100 resamples", lambda: compare(*pair, samples=100), 1)


if __name__ == "__main__":
    main()
