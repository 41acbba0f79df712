# SPDX-License-Identifier: Apache-2.0
"""``pydarknet demo``: data set, training and detection in one command, without a download."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pydarknet.cli._impl.options import device_option

if TYPE_CHECKING:
    from pydarknet.training import Outcome

_NEXT = """
Now with your own data:
  pydarknet convert YOUR_LABELS --out ds
  pydarknet cfg new --model yolov4-tiny --data ds/obj.data --out my.cfg
  pydarknet train --cfg my.cfg --data ds/obj.data --out runs/mine
"""


@click.command(name="demo")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Folder to write."
)
@click.option("--iterations", type=click.IntRange(10), default=None, help="Length of the training.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of data and training."
)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Cores to compute on.")
@device_option
def command(out: Path, iterations: int | None, seed: int, threads: int, device: str) -> int:
    """Make a small data set, train a detector on it, and draw its detections.

    Digits of the UCI data set (real handwriting, 10 classes) are placed on textured backgrounds; a small
    yolov4-tiny learns to detect and classify them from random weights. Nothing is downloaded.

    \b
    Examples:
      pydarknet demo
      pydarknet demo --out /tmp/demo --seed 1
    """
    from pydarknet import TrainConfig, train
    from pydarknet.engine.devices import backend_on, require_available
    from pydarknet.training import demo
    from pydarknet.training.progress import Bar

    begun = time.monotonic()
    if (out / "run").exists():
        raise click.UsageError(f"{out} already contains a demo; choose another --out, or delete it")
    require_available(backend_on("auto", device))
    click.echo(f"{demo.TRAIN + demo.VALID} images with handwritten digits in {out}/data ...")
    data = demo.make_data(out / "data", seed)
    cfg = out / "digits.cfg"
    demo.make_cfg(iterations or demo.ITERATIONS).save(cfg)
    config = TrainConfig(
        cfg,
        data,
        out=out / "run",
        threads=threads,
        device=device,
        workers=1,
        seed=seed,
        cache="ram",
        map_every=demo.MAP_EVERY,
        force=True,
    )
    outcome = train(config, [Bar(lines=12)], verbose=False)
    seconds = time.monotonic() - begun
    if outcome.reason != "finished":
        from pydarknet.training import EXIT_CODES

        click.echo(f"ended early: {outcome.reason}; see {outcome.folder}", err=True)
        return EXIT_CODES[outcome.reason]
    score = "none yet, more iterations are needed" if outcome.best is None else f"{outcome.best:.1%}"
    click.echo(f"mAP@0.5 on validation images: {score}, after {seconds:.0f} s")
    detections = _detect(outcome, out, device)
    click.echo(f"chart: {outcome.folder / 'chart.png'}; {detections}")
    click.echo(_NEXT)
    return 0


def _detect(outcome: Outcome, out: Path, device: str) -> str:
    """Draw detections in validation images, each alone and all on one sheet."""
    import cv2
    import numpy as np

    from pydarknet import Network
    from pydarknet.engine.images import load, save_image
    from pydarknet.training import demo

    images = sorted((out / "data/valid").glob("*.png"))[:12]
    folder = out / "detections"
    tiles = []
    cfg, weights = outcome.folder / "digits.cfg", outcome.weights.get("best", outcome.weights["last"])
    options: dict[str, Any] = {"names": demo.NAMES, "strict": False, "threads": 1, "device": device}
    with Network(cfg, weights, **options) as network:
        for path in images:
            large = cv2.resize(load(path), (3 * demo.SIZE, 3 * demo.SIZE), interpolation=cv2.INTER_CUBIC)
            tiles.append(network.detect(large).plot(large))
            save_image(folder / f"{path.stem}.jpg", tiles[-1])
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
    rows = [np.hstack(tiles[i : i + 4]) for i in range(0, len(tiles), 4)]
    save_image(out / "detections.jpg", np.vstack(rows))
    return f"images with boxes: {out / 'detections.jpg'} and {folder}"
