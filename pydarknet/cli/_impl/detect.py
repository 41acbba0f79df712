# SPDX-License-Identifier: Apache-2.0
"""Implementation of ``pydarknet detect``: networks, outputs, the loop, the summary."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial, reduce
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from pydarknet.cli._impl.detect_engine import DetectJob, Spread
from pydarknet.cli._impl.detect_summary import DetectSummary
from pydarknet.cli._impl.failures import drop
from pydarknet.cli._impl.options import RANDOM
from pydarknet.cli._impl.own_output import own_output
from pydarknet.cli.detect import FORMATS, DetectOptions
from pydarknet.engine.draw import draw
from pydarknet.engine.model_files import cfg_beside, is_model, of_run, open_model
from pydarknet.engine.names import names_from
from pydarknet.engine.network import Network
from pydarknet.errors import DataError
from pydarknet.streaming import compare
from pydarknet.streaming.detector import make_detector
from pydarknet.streaming.outputs import Output, labelling
from pydarknet.streaming.outputs import text as text_outputs
from pydarknet.streaming.outputs.media import AnnotatedFiles, Crops, Sheet, Window
from pydarknet.streaming.outputs.web import Web
from pydarknet.streaming.result import Result
from pydarknet.streaming.sources import StreamSource, classify, expand
from pydarknet.streaming.stream import Skip, Stream, stream
from pydarknet.system.web_access import parse_address

_FOREIGN = (".pt", ".pth", ".onnx", ".h5", ".tflite")
_SECONDS_BETWEEN_LINES = 10.0  # of progress, without a terminal


def run(sources: list[str], options: DetectOptions) -> int:
    """Detect; returns the exit code."""
    options = _with_darknet_order(sources, options)
    with tempfile.TemporaryDirectory(prefix="pydarknet-") as unpacked:
        return _run(sources, _with_model(sources, options, Path(unpacked)))


def _run(sources: list[str], options: DetectOptions) -> int:
    # OpenCV and FFmpeg would repeat the errors of this command on stderr.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    _silence_opencv()
    with own_output(), contextlib.ExitStack() as stack:
        networks = [stack.enter_context(network) for network in _networks(options)]
        source = _one_source(sources)
        failed = 0

        def skip(error: DataError) -> None:
            nonlocal failed
            failed += 1
            tqdm.write(f"error: {error}", file=sys.stderr)

        results = _stream(networks[0], source, options, skip)
        stack.enter_context(results)
        summary = DetectSummary()
        code = _loop(results, networks, options, summary)
        if len(networks) == 2 and summary.first is not None and _differ_in_layers(options):
            summary.difference = compare.first_difference(networks[0], networks[1], summary.first)
            summary.compared = True
    if not options.quiet:
        click.echo(summary.text(results, failed, as_json=options.as_json), err=_writes_to_stdout(options))
    return code or (1 if failed else 0)


def _stream(network: Network, source: Any, options: DetectOptions, skip: Skip) -> Stream | Spread:
    if options.engine != "local":
        sources = source if isinstance(source, list) else expand(classify(source))
        loading = {**_loading(options, network.names), "precision": network.info.precision}
        assert options.cfg is not None
        assert options.weights is not None
        job = DetectJob(
            options.cfg,
            options.weights,
            tuple(loading.items()),
            tuple(options.detecting.items()),
            options.size,
        )
        channels = network.info.channels
        return Spread(options.engine, job, sources, channels, options.batch, skip)
    live = {"every": options.every, "patience": options.patience}
    return stream(network, source, skip=skip, **live, **options.detecting)  # type: ignore[arg-type]


def _with_model(sources: list[str], options: DetectOptions, folder: Path) -> DetectOptions:
    """Take cfg and weights from a pack or run, and the cfg of weights from the run that they lie in."""
    if options.weights is None and options.cfg is None and is_model(Path(sources[0])):
        options = replace(options, weights=sources.pop(0))
        if not sources:
            raise click.UsageError(f"Missing argument 'SOURCE...' after {options.weights}")
    if options.weights is None:
        return options
    weights = Path(options.weights)
    if is_model(weights):
        parts = open_model(weights, folder)
        return replace(options, cfg=options.cfg or str(parts.cfg), weights=str(parts.weights))
    return options if options.cfg else replace(options, cfg=_cfg_of(weights))


def _cfg_of(weights: Path) -> str | None:
    cfg = cfg_beside(weights)
    if cfg is not None:
        click.echo(f"cfg: {cfg}", err=True)
    return None if cfg is None else str(cfg)


def _with_darknet_order(sources: list[str], options: DetectOptions) -> DetectOptions:
    """``detect CFG WEIGHTS SOURCE``, as in Darknet: take the first two from the sources."""
    for name, suffix in (("cfg", ".cfg"), ("weights", ".weights")):
        if getattr(options, name) is None and sources and sources[0].lower().endswith(suffix):
            options = replace(options, **{name: sources.pop(0)})  # type: ignore[arg-type]
    if not sources:
        raise click.UsageError("Missing argument 'SOURCE...'")
    if options.cfg and options.weights is None and sources[0].lower().endswith(_FOREIGN):
        raise click.UsageError(
            f"found {sources[0]!r}, weights of another program; expected .weights of Darknet"
        )
    return options


def load_network(model: Sequence[str], options: DetectOptions) -> Network:
    """The network of ``CFG WEIGHTS``, a pack or a run.

    Raises:
        click.UsageError: the words name no network, or more than that.
    """
    words = [*model, "-"]  # where ``detect`` has its sources
    options = _with_darknet_order(words, options)
    with tempfile.TemporaryDirectory(prefix="pydarknet-") as unpacked:
        options = _with_model(words, options, Path(unpacked))
        if words != ["-"]:
            alone = len(words) > len(model)  # not more than a cfg and weights
            state = ", which is not there" if alone and not Path(words[0]).exists() else ""
            raise click.UsageError(
                f"found {words[0]!r}{state}; expected CFG WEIGHTS, a pack or the folder of a run"
            )
        if options.weights is None:
            raise click.UsageError(f"Missing argument 'WEIGHTS' after {options.cfg}; {RANDOM}")
        (network,) = _networks(options)
        return network


def _silence_opencv() -> None:
    import cv2

    if hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(0)


def _one_source(sources: list[str]) -> Any:
    """The source, or several files as one source."""
    if len(sources) == 1:
        return sources[0]
    found: list[StreamSource] = [entry for text in sources for entry in expand(classify(text))]
    if len({entry.live for entry in found}) > 1:
        raise click.UsageError("live sources and files cannot be combined; run them separately")
    return found


# -- networks ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Spec:
    """One network: the parts in ``--compare``, others from the options."""

    cfg: str | None
    weights: str | None
    names: str | None
    library: str | None = None

    def with_part(self, part: str) -> _Spec:
        """With a file, whose suffix decides what it is."""
        name = part.lower()
        if Path(part).is_dir():
            found = of_run(Path(part))
            return replace(self, cfg=str(found.cfg), weights=str(found.weights))
        if name.endswith(".cfg"):
            return replace(self, cfg=part)
        if name.endswith((".names", ".data", ".yaml", ".yml")):
            return replace(self, names=part)
        if name.endswith((".so", ".dylib", ".dll")) or ".so." in name:
            return replace(self, library=part)
        return replace(self, weights=part)


def _specs(options: DetectOptions) -> list[_Spec]:
    plain = _Spec(options.cfg, options.weights, options.names)
    if not options.compare:
        return [plain]
    return [reduce(_Spec.with_part, text.split(","), plain) for text in options.compare]


def _networks(options: DetectOptions) -> Iterator[Network]:
    for spec in _specs(options):
        if spec.cfg is None and spec.weights is None:
            raise click.UsageError(
                "Missing argument 'CFG WEIGHTS' before SOURCE, or 'MODEL': a pack or the folder of a run."
            )
        if spec.cfg is None:
            raise click.UsageError(
                "Missing option '--cfg': the network of these weights, or a pack or run folder as --weights"
            )
        if spec.weights is None:
            raise click.UsageError(f"Missing option '--weights'; {RANDOM}")
        names = names_from(spec.names) if spec.names else None
        network = Network(spec.cfg, spec.weights, library=spec.library, **_loading(options, names))
        if options.size:
            network.resize(*options.size)
        yield network


def _differ_in_layers(options: DetectOptions) -> bool:
    """Whether the first differing layer can be searched: two cfgs, the same weights."""
    a, b = _specs(options)
    return a.weights == b.weights and a.cfg != b.cfg and not (a.library or b.library)


def _loading(options: DetectOptions, names: tuple[str, ...] | None) -> dict[str, Any]:
    """The options of :class:`Network`."""
    values = {name: getattr(options, name) for name in ("device", "backend", "precision", "batch", "threads")}
    return {**values, "names": names, "strict": not options.lenient}


# -- the loop ------------------------------------------------------------------------------------------------


def _loop(
    results: Stream | Spread, networks: list[Network], options: DetectOptions, summary: DetectSummary
) -> int:
    """Pass every result to every output; close the outputs in any case."""
    with contextlib.ExitStack() as stack:
        outputs: list[Output] = []
        differences = None
        for output in _outputs(options):
            outputs.append(output)
            stack.callback(summary.close, output)
            if isinstance(output, Web):
                click.echo(f"warning: {output.warning}\n" * bool(output.warning), err=True, nl=False)
                click.echo(f"watch at {output.url} (Ctrl-C stops)", err=True)
        if len(networks) == 2:
            differences = compare.Differences(str(options.folder / "differences.csv"))
            stack.callback(summary.close, differences)
            other_of = make_detector(networks[1], **options.detecting)
        drawn_of = partial(draw, line_width=options.line_width, labels=not options.hide_labels)
        drawn_of = partial(drawn_of, confidence=not options.hide_conf)
        progress = _Progress(results, options)
        stack.enter_context(progress.bar)
        try:
            for result in _tracked(results, options.track):
                drawn = cache(partial(drawn_of, *result))
                if differences is not None:
                    (other,) = other_of([result.frame.image])
                    differences.add(result, other)
                    right = cache(partial(drawn_of, result.frame.image, other))
                    drawn = cache(partial(compare.side_by_side, drawn, right))
                for output in outputs:
                    output.write(result, drawn)
                summary.add(result)
                progress.update(result)
                if results.stats.frames == options.frames:
                    break
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:  # the reader of stdout has closed it, like head
            drop(sys.stdout)
    return 0


def _tracked(results: Iterable[Result], kind: str | None) -> Iterable[Result]:
    if kind is None:
        return results
    from pydarknet.contrib.tracking import track

    return track(results, kind)


class _Progress:
    """A bar on a terminal, otherwise a line every few seconds; one line per single image."""

    def __init__(self, results: Stream | Spread, options: DetectOptions) -> None:
        self._results, self._silent = results, options.quiet
        self._quiet = options.quiet or options.as_json or _writes_to_stdout(options)
        self._total = results.stats.total
        wanted = sys.stderr.isatty() and self._total != 1 and not self._silent
        self.bar = tqdm(total=self._total, unit=" frames", disable=not wanted, dynamic_ncols=True)
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES

    def update(self, result: Result) -> None:
        self.bar.update()
        if result.frame.still:
            self._report(result)
        elif not self.bar.disable and self._results.live:
            self.bar.set_postfix_str(self._pace(), refresh=False)
        elif self.bar.disable and not self._silent and time.monotonic() > self._next_line:
            self._next_line += _SECONDS_BETWEEN_LINES
            stats = self._results.stats
            of = f"/{self._total}" if self._total else ""
            pace = f", {self._pace()}" if self._results.live else ""
            click.echo(f"{stats.frames}{of} frames, {stats.fps:.1f} fps{pace}", err=True)

    def _pace(self) -> str:
        stats = self._results.stats
        return f"{stats.latency(0.5) * 1e3:.0f} ms late, {stats.dropped} dropped"

    def _report(self, result: Result) -> None:
        if self._quiet:
            return
        dets = result.detections
        found = dets.count_text() or "nothing"
        tqdm.write(f"{result.frame.name}: {found} ({result.seconds * 1e3:.0f} ms)", file=sys.stdout)
        if self._total == 1:
            for label, confidence in zip(dets.labels, dets.confidence, strict=True):
                tqdm.write(f"{label}: {confidence:.0%}", file=sys.stdout)


# -- outputs -------------------------------------------------------------------------------------------------


def _outputs(options: DetectOptions) -> Iterator[Output]:
    formats = [*options.formats, *(["yolo"] if options.save_labels else [])] or ["darknet"]
    parsed = [_parse_format(text, options) for text in formats]
    if options.show:
        yield Window()
    if options.http:
        yield Web(*parse_address(options.http))
    if not options.no_pictures:
        yield AnnotatedFiles(options.out)
    if options.sheet:
        yield Sheet(options.sheet)
    if options.crops:
        yield Crops(str(options.folder / "crops"))
    for make, path in parsed:
        yield make(path)


def _parse_format(text: str, options: DetectOptions) -> tuple[Callable[[str], Output], str]:
    """Constructor of an output, and its file."""
    name, equals, path = text.partition("=")
    if name not in FORMATS:
        raise click.BadParameter(f"{name!r} is not one of {', '.join(FORMATS)}", param_hint="'--to'")
    if equals and not path:
        raise click.BadParameter(f"{text!r} has no file after '='", param_hint="'--to'")
    model = Path(options.weights or "pydarknet").stem
    makers: dict[str, tuple[str, Callable[[str], Output]]] = {
        "darknet": ("detections.json", text_outputs.darknet_json),
        "jsonl": ("detections.jsonl", text_outputs.json_lines),
        "csv": ("detections.csv", text_outputs.csv_table),
        "coco": ("coco_results.json", text_outputs.coco_results),
        "yolo": ("labels", partial(text_outputs.Labels, confidence=options.save_conf)),
        "labelstudio": ("tasks.json", partial(labelling.label_studio, model=model)),
        "cvat": ("annotations.xml", partial(labelling.CvatFile, model=model)),
        "kaggle-loc": ("submission.csv", partial(text_outputs.kaggle_loc, mapping=options.mapping)),
    }
    default, make = makers[name]
    return make, path or str(options.folder / default)


def _writes_to_stdout(options: DetectOptions) -> bool:
    return any(text.endswith("=-") for text in options.formats)
