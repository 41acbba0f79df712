# SPDX-License-Identifier: Apache-2.0
"""Plots of a run, drawn while it trains; the live page and the report.

Drawing takes a small share of the time.  A plot that cannot be drawn does not end the training: that is
reported once.
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
from pydarknet.system.notify import Notify
from pydarknet.training.hooks import Hook, Step
from pydarknet.training.loader import Loader, draw_boxes

if TYPE_CHECKING:
    from pydarknet.evaluation.evaluation import Evaluation, Verdict
    from pydarknet.training.loop import TrainingLoop

EVERY = 60.0  # seconds between drawings of the curves, at least
SHARE = 100  # drawing curves takes at most 1/100 of the time, drawing evaluations as much
TILES = 16  # images of a batch that are drawn
SHEETS = 2  # sheets of validation images
SHEET = 8  # images on a sheet


class Plots(Hook):
    """Draws into the folder of the run.

    ``labels.png`` and ``train_batch*.jpg`` at the start; ``chart.png``, ``results.png`` and ``loss.png``
    about once a minute; ``val_*.jpg``, ``worst.jpg``, ``confusion.*`` and ``pr.*`` with evaluations; all but
    the first at the end, too.

    Args:
        dataset: all images with their boxes.
        loader: of the training images.
        batches: number of batches of training images to draw.
        notify: receives the names of plots that cannot be drawn.
    """

    def __init__(self, dataset: Dataset, loader: Loader, batches: int, notify: Notify) -> None:
        self._dataset, self._loader, self._batches, self._notify = dataset, loader, batches, notify
        self._failed: set[str] = set()
        self._budgets = {"curves": _Budget(EVERY), "evaluation": _Budget(0.0)}
        self._report: Evaluation | None = None

    def start(self, training: TrainingLoop) -> None:
        """Draw what does not change; a resumed run has it already."""
        run = training.config.run
        if not run.file("labels.png").exists():
            self._try("labels.png", self._labels, training)
        for number in range(self._batches):
            name = f"train_batch{number}.jpg"
            if not run.file(name).exists():
                self._try(name, self._batch, training, number)

    def after_step(self, training: TrainingLoop, step: Step) -> None:  # noqa: ARG002
        """Draw the curves if enough time has passed."""
        with self._budgets["curves"] as due:
            if due:
                self._curves(training)

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:
        """Draw the evaluation, unless that would take too much of the time."""
        self._report = report
        with self._budgets["evaluation"] as due:
            if due:
                self._evaluation(training)

    def end(self, training: TrainingLoop, reason: str) -> None:  # noqa: ARG002
        """Draw what has changed."""
        if training.iteration:
            self._curves(training)
        self._evaluation(training)

    # -- drawing

    def _try(self, name: str, draw: Callable[..., None], *arguments: Any) -> None:
        if name in self._failed:
            return
        try:
            draw(*arguments)
        except Exception as error:  # a plot must not end a training
            self._failed.add(name)
            self._notify(f"{name} cannot be drawn: {type(error).__name__}: {error}")

    def _labels(self, training: TrainingLoop) -> None:
        from pydarknet.data.plots import save_labels
        from pydarknet.data.stats import statistics

        net = training.config.cfg.net
        width, height = (max(net.integer(side) // 32, 1) * 32 for side in ("width", "height"))
        stats = statistics(self._dataset, [(width, height)])
        save_labels(self._dataset, stats, training.config.run.file("labels.png"))

    def _batch(self, training: TrainingLoop, number: int) -> None:
        batch = self._loader.first(number)
        part = replace(batch, images=batch.images[:TILES], truths=batch.truths[:TILES])
        draw_boxes(part, self._dataset.names, training.config.run.file(f"train_batch{number}.jpg"))

    def _curves(self, training: TrainingLoop) -> None:
        self._try("chart.png", _draw_chart, training)
        self._try("results.png", _draw_results, training)

    def _evaluation(self, training: TrainingLoop) -> None:
        report, self._report = self._report, None
        if report is None:
            return
        self._try("confusion and pr", _draw_evaluation, training.config.run, report)
        if worst := report.worst(SHEET):
            self._try("worst.jpg", _draw_sheet, worst, report.names, training.config.run.file("worst.jpg"))
        for number in range(SHEETS):
            path = training.config.run.file(f"val_{number}.jpg")
            if verdicts := report.verdicts[number * SHEET : (number + 1) * SHEET]:
                self._try(path.name, _draw_sheet, verdicts, report.names, path)


def _draw_chart(training: TrainingLoop) -> None:
    from pydarknet.logs.load import load
    from pydarknet.logs.plots import chart

    run, net = training.config.run, training.config.cfg.net
    top = net.number("max_chart_loss") if "max_chart_loss" in net else None
    chart(load(run.file("train.log")), run.file("chart.png"), title=training.config.base, max_loss=top)


def _draw_results(training: TrainingLoop) -> None:
    from pydarknet.runs.plots import draw_loss, draw_results
    from pydarknet.runs.rows import read_rows

    run, base = training.config.run, training.config.base
    rows = read_rows(run.path)
    draw_results(rows, run.file("results.png"), base)
    draw_loss(rows, run.file("loss.png"), base)


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
    """Time for drawing: at most 1/:data:`SHARE` of the whole, and ``least`` seconds between drawings.

    As a context manager it returns whether drawing is due, and measures the time.
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
def page(run: RunFolder, config: TrainConfig, notify: Notify) -> Iterator[None]:
    """Serve the live page of a run, if the settings ask for it.

    Raises:
        ArgumentError: the address cannot be listened on.
    """
    if config.http is None:
        yield
        return
    from pydarknet.runs.page.server import Page
    from pydarknet.system.web_access import parse_address

    try:
        served = Page(run.path, *parse_address(config.http))
    except FileError as error:
        raise ArgumentError(str(error)) from None
    with served:
        if served.warning:
            notify(f"warning: {served.warning}")
        notify(f"live page: {served.url}")
        yield


def final_report(run: RunFolder, config: TrainConfig, notify: Notify) -> None:
    """Write ``report.html``, if the settings ask for it; a failure is reported and does not raise."""
    if not config.plots:
        return
    try:
        from pydarknet.runs.html_report import write_report

        write_report(run.path)
    except Exception as error:
        notify(f"report.html cannot be written: {type(error).__name__}: {error}")
