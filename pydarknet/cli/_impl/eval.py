# SPDX-License-Identifier: Apache-2.0
"""Implementation of ``pydarknet eval``: evaluate, compare, print, write."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from pydarknet import __version__
from pydarknet.cli._impl.bars import Bars
from pydarknet.cli._impl.eval_record import recorded
from pydarknet.cli._impl.options import RANDOM
from pydarknet.cli._impl.own_output import own_output
from pydarknet.cli.eval import PROTOCOLS, EvalOptions
from pydarknet.data import Dataset, formats
from pydarknet.data.archives import is_archive, unpacked
from pydarknet.data.formats import coco
from pydarknet.engine.devices import backend_on, require_available
from pydarknet.engine.model_files import found_files, is_archived, is_model
from pydarknet.engine.network import Network
from pydarknet.errors import FileError
from pydarknet.evaluation import export
from pydarknet.evaluation.bootstrap import compare
from pydarknet.evaluation.diagnose import explain_low_map
from pydarknet.evaluation.evaluate import Collector, evaluate, labelled
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.evaluation.serialise import percent
from pydarknet.evaluation.spread import EvaluationJob, collect_by
from pydarknet.runs.folder import RunFolder
from pydarknet.streaming.outputs import result_files as writers
from pydarknet.streaming.outputs.text import synset_order
from pydarknet.system.atomic import abandon, replacing
from pydarknet.system.notify import Progress


def run(model: Sequence[str], options: EvalOptions) -> int:
    """Evaluate; returns the exit code.

    Args:
        model: words of the command line: cfg and weights, a pack, a run, or none.
        options: of the command.
    """
    _check_options(options)
    given = _networks(model, options)
    if not options.data:
        options = replace(options, data=_data_of_run(given[0][0]))
    with contextlib.ExitStack() as unpacked:
        networks = []
        for one in given:
            cfg, weights = unpacked.enter_context(found_files(*one))
            if weights is None:
                if not cfg.lower().endswith(".cfg"):
                    state = "is not a pack or run" if Path(cfg).exists() else "is not there"
                    raise click.UsageError(
                        f"{cfg} {state}; expected CFG WEIGHTS, a pack or the folder of a run"
                    )
                raise click.UsageError(f"Missing argument 'WEIGHTS' after {cfg}; {RANDOM}")
            name = one[0] if is_archived(Path(one[0])) else weights  # not that of an unpacked file
            networks.append((cfg, weights, name))
        return _run(networks, options)


def _data_of_run(folder: str) -> str:
    """The data set that a run was trained on, which is printed."""
    run = RunFolder(Path(folder))
    if not run.exists:
        raise click.UsageError("Missing option '--data'.")
    data = str(run.config().data)
    if not Path(data).exists():
        raise click.UsageError(f"Missing option '--data': {folder} was trained on {data}, which is not here.")
    click.echo(f"data: {data}", err=True)
    return data


def _networks(words: Sequence[str], options: EvalOptions) -> list[tuple[str, str | None]]:
    """The network, and the one to compare with: cfg and weights, or a model alone."""
    given = {"CFG": options.cfg, "WEIGHTS": options.weights}
    if len(words) > len(given):
        raise click.UsageError(f"found {words[2]!r} after CFG and WEIGHTS; images are those of --data.")
    for (name, option), word in zip(given.items(), words, strict=False):
        if option is not None:
            raise click.UsageError(f"found {name} twice: {word} and {option}.")
        given[name] = word
    cfg, weights = given.values()
    if cfg is None:
        if weights is None:
            raise click.UsageError("Missing argument 'CFG WEIGHTS' or 'MODEL'.")
        cfg, weights = weights, None  # those of a run
    if options.compare is None:
        return [(cfg, weights)]
    alone = is_model(Path(options.compare)) and options.compare_cfg is None
    other = (options.compare, None) if alone else (options.compare_cfg or cfg, options.compare)
    return [(cfg, weights), other]


def _check_options(options: EvalOptions) -> None:
    """Refuse options that contradict each other."""
    if options.results and not options.out:
        raise click.UsageError("--results needs --out DIR for the files.")
    if options.compare_cfg and not options.compare:
        raise click.UsageError("--compare-cfg needs --compare WEIGHTS.")
    if options.score > options.thresh:
        raise click.UsageError(
            f"--score {options.score:g} drops detections that --thresh {options.thresh:g} counts; "
            "raise --thresh or lower --score."
        )
    if options.mapping and "kaggle" not in options.results:
        raise click.UsageError("--mapping is for --results kaggle.")


def _run(networks: Sequence[tuple[str, str, str]], options: EvalOptions) -> int:
    _check_files(options)
    dataset = labelled(options.data, options.split)
    first, conditions = _measure(options, *networks[0], dataset)
    extra: dict[str, Any] = {"conditions": conditions}
    lines = [_head(conditions), "", first.text(), "", *_more_lines(first)]
    if options.worst:
        lines += ["", *_worst_lines(first, options.worst)]
    if len(networks) == 2:
        second, others = _measure(options, *networks[1], dataset)
        with Bars(leave=False, unit="draws") as bar:
            difference = compare(first, second, progress=bar)
        extra["compare"] = {"conditions": others, **second.to_dict(), **asdict(difference)}
        lines += ["", _head(others), "", second.text(), "", *_more_lines(second), "", difference.text()]
    # Before the files: a full disk must not lose the results.
    click.echo(json.dumps({**extra, **first.to_dict()}, indent=1) if options.as_json else "\n".join(lines))
    if options.out:
        written = _write(first, options, extra)
        if not options.as_json:
            click.echo(f"\n{len(written)} files in {options.out}")
    return 0


def _check_files(options: EvalOptions) -> None:
    """Find a missing device, unreadable inputs and unwritable outputs before the work is done."""
    require_available(backend_on(options.backend, options.device))
    if options.mapping:
        synset_order(options.mapping)
    for path in (options.compare, options.compare_cfg):
        if path and not Path(path).exists():
            raise FileError(f"{path}: file not found")
    if options.out:
        with contextlib.ExitStack() as stack:
            stack.enter_context(replacing(Path(options.out) / "evaluation.json"))
            abandon(stack)


def _measure(
    options: EvalOptions, cfg: str, weights: str, name: str, dataset: Dataset
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluation of one network, and the settings its results depend on."""
    how = {name: getattr(options, name) for name in ("device", "backend", "precision", "batch", "threads")}
    network_of = functools.partial(Network, cfg, weights, strict=not options.lenient, **how)
    with network_of() as network, Bars(leave=False) as bar, own_output():
        if options.size:
            network.resize(*options.size)
        start = time.perf_counter()

        def progress(_: str, done: int, total: int | None) -> None:
            bar(Path(weights).name, done, total)

        found = evaluate(
            network,
            dataset,
            split="all",
            thresh=options.thresh,
            iou_thresh=options.iou,
            points=PROTOCOLS[options.protocol],
            score=options.score,
            nms=options.nms,
            letterbox=options.letterbox,
            collector=_collector(options, cfg, weights, network.info.precision, progress),
            progress=progress,
        )
        seconds = time.perf_counter() - start
        info = network.info
    notes = explain_low_map(found, info)
    if why := found.saturation.reason:
        notes.append(f"! these detections are not meaningful: {why}")
    boxed = info.letter_box if options.letterbox is None else options.letterbox
    conditions = {
        "pydarknet": __version__,
        "cfg": cfg,
        "weights": name,
        "data": options.data,
        "split": options.split,
        "size": [info.width, info.height],
        "resize": "letterbox" if boxed else "stretch",
        "score": options.score,
        "nms": options.nms,
        "precision": info.precision,
        "backend": info.backend,
        "device": info.device,
        "seconds": round(seconds, 3),
    }
    for line in (*notes, recorded(weights, found, dataset, conditions)):
        if line:
            click.echo(line, err=True)
    return found, conditions


def _collector(
    options: EvalOptions, cfg: str, weights: str, precision: str, progress: Progress
) -> Collector | None:
    """With ``--engine``: detection by an executor that spreads the images, in one precision."""
    if options.engine == "local":
        return None
    how = {name: getattr(options, name) for name in ("device", "backend", "batch")}
    job = EvaluationJob(
        str(Path(cfg).absolute()),
        str(Path(weights).absolute()),
        (
            *how.items(),
            ("precision", precision),
            ("threads", options.threads or 1),
            ("strict", not options.lenient),
        ),
        tuple({name: getattr(options, name) for name in ("score", "nms", "letterbox")}.items()),
        options.size,
    )
    return functools.partial(collect_by, options.engine, job, batch=options.batch, progress=progress)


def _head(conditions: dict[str, Any]) -> str:
    """The settings in one line; results depend on them."""
    width, height = conditions["size"]
    return (
        f"{conditions['weights']} on {conditions['data']} ({conditions['split']}): {width}x{height} "
        f"{conditions['resize']}, {conditions['precision']}, detections from {conditions['score']:g}, "
        f"nms {conditions['nms']:g}, {conditions['seconds']:.1f} s"
    )


def _more_lines(evaluation: Evaluation) -> list[str]:
    """COCO's metrics, calibration and the most frequent confusions."""
    stats = evaluation.coco.stats
    lines = [
        "COCO: " + "  ".join(f"{name} {percent(stats[name])}" for name in names)
        for names in (list(stats)[:6], list(stats)[6:])
    ]
    calibration = evaluation.calibration
    strong = calibration.ece_from(evaluation.thresh)
    if not math.isnan(strong):
        used = (calibration.edges[:-1] >= evaluation.thresh - 1e-9) & (calibration.count > 0)
        gap = (calibration.confidence - calibration.accuracy)[used] @ calibration.count[used]
        lines.append(
            f"calibration error {percent(calibration.ece)}, {percent(strong)} above {evaluation.thresh:g}: "
            f"the network is {'over' if gap > 0 else 'under'}confident"
        )
    taken = [
        f"{count} {there} detected as {found}" for found, there, count in evaluation.confusion.mistakes(5)
    ]
    return [*lines, "confusions: " + (", ".join(taken) or "none")]


def _worst_lines(evaluation: Evaluation, count: int) -> list[str]:
    lines = [
        f"  {one.judged.path}: {one.missed.sum()} missed, {one.wrong.sum()} wrong, {one.right.sum()} right"
        for one in evaluation.worst(count)
    ]
    return ["images with most errors:", *lines] if lines else []


def _write(evaluation: Evaluation, options: EvalOptions, extra: dict[str, Any]) -> list[Path]:
    assert options.out is not None
    folder = Path(options.out)
    written = export.save(evaluation, folder, worst=options.worst, extra=extra)
    found = export.found_in(evaluation)
    if "coco" in options.results:
        written += writers.coco(found, folder / "coco_results.json", *_coco_numbers(Path(options.data)))
    if "voc" in options.results:
        written += writers.voc(found, folder, evaluation.names)
    if "kaggle" in options.results:
        written += writers.kaggle(found, folder / "submission.csv", options.mapping)
    return written


def _coco_numbers(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Ids of images and categories, if the data set has them."""
    if is_archive(path):
        path = unpacked(path)
    return coco.numbers(path) if formats.sniff(path) == "coco" else ({}, {})
