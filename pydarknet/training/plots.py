# SPDX-License-Identifier: Apache-2.0
"""What people look at, made while a training goes on: pictures, the live page, the report.

Drawing takes a small share of the time, and a picture that cannot be drawn ends nothing: that is said once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydarknet.data import Dataset
from pydarknet.errors import ArgumentError, FileError
from pydarknet.runs.config import TrainConfig
from pydarknet.runs.folder import RunFolder
from pydarknet.system.atomic import write_text
from pydarknet.training.hooks import Hook, Step
from pydarknet.training.loader import draw_boxes
from pydarknet.training.prepare import Say

if TYPE_CHECKING:
    from pydarknet.evaluation.evaluation import Evaluation, Verdict
    from pydarknet.training.loop import Training

EVERY = 60.0  # seconds between drawings of the curves, at least
SHARE = 100  # drawing curves takes at most 1/100 of the time, drawing evaluations as much
TILES = 16  # images of a batch that are drawn
SHEETS = 2  # pictures of validation images
SHEET = 8  # images on each


class Pictures(Hook):
    """Draws into the folder of the run.

    ``labels.png`` and ``train_batch*.jpg`` at the start; ``chart.png``, ``results.png`` and ``loss.png`` now
    and then; ``val_*.jpg``, ``worst.jpg``, ``confusion.*`` and ``pr.*`` with evaluations; all at the end.

    Args:
        dataset: with the boxes of all images.
        batches: batches of training images to draw.
        say: told which picture could not be drawn.
    """

    def __init__(self, dataset: Dataset, batches: int, say: Say) -> None:
        self._dataset, self._batches, self._say = dataset, batches, say
        self._failed: set[str] = set()
        self._budgets = {"curves": _Budget(EVERY), "evaluation": _Budget(0.0)}
        self._report: Evaluation | None = None

    def start(self, training: Training) -> None:
        """Draw what does not change; in a run that goes on it is there already."""
        run = training.run
        if not run.file("labels.png").exists():
            self._try("labels.png", self._labels, training)
        for number in range(self._batches):
            name = f"train_batch{number}.jpg"
            if not run.file(name).exists():
                self._try(name, self._batch, training, number)

    def after_step(self, training: Training, step: Step) -> None:  # noqa: ARG002
        """Draw the curves if the last drawing is long enough ago."""
        with self._budgets["curves"] as due:
            if due:
                self._curves(training)

    def evaluated(self, training: Training, report: Evaluation) -> None:
        """Draw what the evaluation says, unless that would take too much of the time."""
        self._report = report
        with self._budgets["evaluation"] as due:
            if due:
                self._evaluation(training)

    def end(self, training: Training, reason: str) -> None:  # noqa: ARG002
        """Draw what has changed since."""
        if training.iteration:
            self._curves(training)
        self._evaluation(training)

    # -- drawing

    def _try(self, name: str, draw: Callable[..., None], *arguments: Any) -> None:
        if name in self._failed:
            return
        try:
            draw(*arguments)
        except Exception as error:  # whatever is wrong with a picture is no reason to lose a training
            self._failed.add(name)
            self._say(f"{name} cannot be drawn: {type(error).__name__}: {error}")

    def _labels(self, training: Training) -> None:
        from pydarknet.data.plots import save_labels
        from pydarknet.data.stats import statistics

        net = training.cfg.net
        width, height = (max(net.integer(side) // 32, 1) * 32 for side in ("width", "height"))
        stats = statistics(self._dataset, [(width, height)])
        save_labels(self._dataset, stats, training.run.file("labels.png"))

    def _batch(self, training: Training, number: int) -> None:
        batch = training.loader.first(number)
        part = replace(batch, images=batch.images[:TILES], truths=batch.truths[:TILES])
        draw_boxes(part, self._dataset.names, training.run.file(f"train_batch{number}.jpg"))

    def _curves(self, training: Training) -> None:
        self._try("chart.png", _draw_chart, training)
        self._try("results.png", _draw_results, training)

    def _evaluation(self, training: Training) -> None:
        report, self._report = self._report, None
        if report is None:
            return
        self._try("confusion and pr", _draw_evaluation, training.run, report)
        if worst := report.worst(SHEET):
            self._try("worst.jpg", _draw_sheet, worst, report.names, training.run.file("worst.jpg"))
        for number in range(SHEETS):
            path = training.run.file(f"val_{number}.jpg")
            if verdicts := report.verdicts[number * SHEET : (number + 1) * SHEET]:
                self._try(path.name, _draw_sheet, verdicts, report.names, path)


def _draw_chart(training: Training) -> None:
    from pydarknet.logs.load import load
    from pydarknet.logs.plots import chart

    run, net = training.run, training.cfg.net
    top = net.number("max_chart_loss") if "max_chart_loss" in net else None
    chart(load(run.file("train.log")), run.file("chart.png"), title=training.base, max_loss=top)


def _draw_results(training: Training) -> None:
    from pydarknet.runs.plots import draw_loss, draw_results
    from pydarknet.runs.rows import read_rows

    run, rows = training.run, read_rows(training.run.path)
    draw_results(rows, run.file("results.png"), training.base)
    draw_loss(rows, run.file("loss.png"), training.base)


def _draw_evaluation(run: RunFolder, report: Evaluation) -> None:
    from pydarknet.evaluation import export, plots

    for name in ("confusion", "pr"):
        plots.save(plots.CHARTS[name](report), run.file(f"{name}.png"))
    write_text(run.file("confusion.csv"), report.confusion.csv())
    write_text(run.file("pr.csv"), export.pr_csv(report))


def _draw_sheet(verdicts: Sequence[Verdict], names: Sequence[str], path: Path) -> None:
    from pydarknet.evaluation.worst_images import save_sheet

    save_sheet(verdicts, names, path)


class _Budget:
    """Time for drawing: at most 1/:data:`SHARE` of all, with at least ``least`` seconds in between.

    As a context it says whether drawing is due, and measures it.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._next = time.monotonic() + least

    def __enter__(self) -> bool:
        self._begun = time.monotonic()
        self._due = self._begun >= self._next
        return self._due

    def __exit__(self, *_: object) -> None:
        if self._due:
            now = time.monotonic()
            self._next = now + max(self._least, SHARE * (now - self._begun))


@contextlib.contextmanager
def page(run: RunFolder, config: TrainConfig, say: Say) -> Iterator[None]:
    """The live page of a run, if ``config`` wants it.

    Raises:
        ArgumentError: the address cannot be listened on.
    """
    if config.http is None:
        yield
        return
    from pydarknet.runs.page.server import Page
    from pydarknet.system.http_server import parse_address

    try:
        served = Page(run.path, *parse_address(config.http))
    except FileError as error:
        raise ArgumentError(f"{error} (--http takes another)") from None
    with served:
        say(f"live page: {served.url}")
        yield


def final_report(run: RunFolder, config: TrainConfig, say: Say) -> None:
    """``report.html``, if ``config`` wants it; whatever is wrong with it changes no outcome."""
    if not config.plots:
        return
    try:
        from pydarknet.runs.html_report import write_report

        write_report(run.path)
    except Exception as error:
        say(f"report.html cannot be written: {type(error).__name__}: {error}")
