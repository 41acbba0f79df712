# SPDX-License-Identifier: Apache-2.0
"""Detection on whatever gives pictures: decoding, inference and the caller's work overlap in three threads.

Files give every frame, in order, and are waited for. Live sources give their newest frame: while the network
is busy older ones are dropped and counted, so that the delay stays that of one or two inferences.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np

from pydarknet.engine.detections import Detections
from pydarknet.engine.network import Names, Network
from pydarknet.errors import ArgumentError, DataError
from pydarknet.streaming.detector import Detector, Find, finder
from pydarknet.streaming.file_sources import Frame, count, frames
from pydarknet.streaming.frame_queue import Channel, End
from pydarknet.streaming.live_sources import Watch
from pydarknet.streaming.sources import Source, classify, expand
from pydarknet.system import extras

Skip = Callable[[DataError], None]


@dataclass(frozen=True, eq=False)
class Result:
    """What was found in one frame; ``image, detections = result`` takes it apart.

    Attributes:
        frame: the picture, where it came from and when.
        detections: in the pixels of the picture.
        latency: seconds from reading the frame to handing it out.
        seconds: that the inference took; its share where several frames ran together.
        live: the source is live.
    """

    frame: Frame
    detections: Detections
    latency: float = 0.0
    seconds: float = 0.0
    live: bool = False

    def __iter__(self) -> Iterator[Any]:
        """The image and the detections."""
        return iter((self.frame.image, self.detections))

    def _repr_png_(self) -> bytes:
        """The annotated picture, as notebooks show it."""
        import cv2

        return bytes(cv2.imencode(".png", self.detections.plot(self.frame.image))[1])


@dataclass
class Stats:
    """Counts of a stream so far.

    Attributes:
        frames: handed out.
        failed: images that could not be read.
        total: frames there will be; None when that is not known.
        seconds: since the first frame was read.
    """

    frames: int = 0
    failed: int = 0
    total: int | None = None
    seconds: float = 0.0
    _start: float = 0.0
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    _watches: tuple[Watch, ...] = ()

    @property
    def fps(self) -> float:
        """Frames per second, on average."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def dropped(self) -> int:
        """Frames of live sources that were replaced by newer ones before the network was free."""
        return sum(watch.dropped for watch in self._watches)

    @property
    def lost(self) -> int:
        """How often a live source was lost, or gave nothing for a while."""
        return sum(watch.lost for watch in self._watches)

    def latency(self, quantile: float) -> float:
        """Seconds from reading to handing out, of the last thousand frames; 0.5: median, 1: the worst."""
        return float(np.quantile(self._latencies, quantile)) if self._latencies else 0.0

    def add(self, result: Result) -> None:
        """Count a result that is handed out."""
        self._start = self._start or result.frame.captured
        self.frames += 1
        self.seconds = time.perf_counter() - self._start
        self._latencies.append(result.latency)


class Stream:
    """Iterates over results; made by :func:`stream` and :func:`detect`.

    It ends with its source, by :meth:`close`, at the end of its ``with`` block, or when it is forgotten.

    Attributes:
        stats: frames, dropped frames, latency, ... so far.
        live: whether the source is live.
    """

    def __init__(
        self, sources: Sequence[Source], find: Find, batch: int, channels: int, every: int, patience: float
    ) -> None:
        self.live = any(source.live for source in sources)
        self.stats = Stats(total=None if self.live else count(sources, every))
        self._skip: Skip | None = None
        inbox: Channel[Frame | DataError] = Channel(len(sources) if self.live else 2 * batch)
        self._outbox: Channel[Result | DataError] = Channel(1 if self.live else 2 * batch)
        watches: list[Watch] = []
        if self.live:
            watches = [Watch(source, partial(inbox.offer, source), every) for source in sources]
            readers = [threading.Thread(target=_run_watch, args=(watch, inbox)) for watch in watches]
            self.stats._watches = tuple(watches)
        else:
            readers = [threading.Thread(target=_read, args=(frames(sources, channels, every), inbox))]
        work = (inbox, self._outbox, find, batch, patience if self.live else None, watches)
        finder = threading.Thread(target=_find, args=work)
        for thread in (*readers, finder):
            thread.daemon = True  # one that hangs in a camera's driver must not keep the process alive
            thread.name = "pydarknet.stream"
            thread.start()
        self._end = weakref.finalize(self, _end, (inbox, self._outbox), watches, readers, finder)
        self._network: Network | None = None

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Result:
        try:
            while True:
                (item,) = self._outbox.take()
                if isinstance(item, Result):
                    self.stats.add(item)
                    return item
                self.stats.failed += 1
                if self._skip is None:
                    raise item
                self._skip(item)
        except End:
            self.close()
            raise StopIteration from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the threads and let go of the source; a second call does nothing."""
        self._end()
        if self._network is not None:
            self._network.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def stream(  # noqa: PLR0913  all but two by keyword
    net: Detector,
    source: Any,
    *,
    thresh: float = 0.25,
    nms: float = 0.45,
    letterbox: bool | None = None,
    classes: Iterable[str | int] | None = None,
    tile: int | tuple[int, int] | None = None,
    overlap: float = 0.2,
    every: int = 1,
    live: bool | None = None,
    patience: float = 30.0,
    skip: Skip | None = None,
) -> Stream:
    """Find objects in every picture that a source gives.

    ::

        with pydarknet.Network("yolov4.cfg", "yolov4.weights") as net:
            for image, dets in pydarknet.stream(net, "film.mp4"):
                print(dets)

    Args:
        net: a :class:`Network`, or anything with its ``detect``.
        source: image, folder, glob pattern, list file, ZIP, film, camera number, URL, ``"screen"``,
            ``"-"`` for stdin, an array, a list of images, or an object with ``read()``;
            see :func:`pydarknet.streaming.sources.classify`.
        thresh: confidence above which an object is reported, 0..1.
        nms: overlap (IoU) above which the weaker of two boxes is suppressed; 0 keeps all.
        letterbox: pad instead of stretching; by default as the cfg says.
        classes: report only these, by name or id.
        tile: also look at the image in tiles of this size in pixels, (width, height) or one number for both;
            finds small objects in large images. See :mod:`pydarknet.streaming.tiling`.
        overlap: share of a tile that it has in common with its neighbour, 0..0.9.
        every: take each n-th frame of films and live sources.
        live: of an object with ``read()``: whether it is a live source, whose old frames are dropped and
            which may fail for a while. By default it is, unless it knows how many frames it has.
        patience: seconds without a frame after which a live source is given up.
        skip: is called with the error of each image that cannot be read, and the others go on; by default the
            error is raised.

    Returns:
        An iterator of :class:`Result`; its ``stats`` count frames, dropped frames and latency.

    Raises:
        ArgumentError: a value is out of range, a class is unknown, or the source is none.
        DataError: (also while iterating) the source cannot be read, or a live one is lost for good.
        MissingExtra: the source needs a package that is not installed.
    """
    if every < 1:
        raise ArgumentError(f"found every={every}, expected 1 (all frames) or more")
    find = finder(
        net, thresh=thresh, nms=nms, letterbox=letterbox, classes=classes, tile=tile, overlap=overlap
    )
    info = getattr(net, "info", None)
    sources = _sources(source, live)
    result = Stream(sources, find, getattr(net, "batch", 1), getattr(info, "channels", 3), every, patience)
    result._skip = skip
    return result


def detect(
    cfg: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    source: Any,
    *,
    names: Names | None = None,
    **options: Any,
) -> Stream:
    """Load a network and find objects in everything that a source gives.

    ::

        for image, dets in pydarknet.detect("yolov4.cfg", "yolov4.weights", "holiday/*.jpg"):
            print(dets)

    Args:
        cfg: path of the cfg file.
        weights: path of the weights file.
        source: as for :func:`stream`.
        names: path of a ``.names`` file, or the names.
        options: what :class:`Network` (``backend``, ``batch``, ...) and :func:`stream` (``thresh``,
            ``every``, ...) take.

    Returns:
        As :func:`stream`; the network is closed with it.

    Raises:
        DarknetError: as :class:`Network` and :func:`stream`.
    """
    loading = ("backend", "precision", "batch", "threads", "strict")
    network = Network(
        cfg, weights, names=names, **{key: options.pop(key) for key in loading if key in options}
    )
    try:
        result = stream(network, source, **options)
    except BaseException:
        network.close()
        raise
    result._network = network
    return result


def _sources(source: Any, live: bool | None) -> list[Source]:
    """The source, with folders and lists expanded, pages resolved and objects told live or not."""
    settled = []
    given = source if isinstance(source, list) and source and isinstance(source[0], Source) else [source]
    for entry in (entry for one in given for entry in expand(classify(one))):
        if entry.kind == "site":
            address, is_live = extras.load("pydarknet.sources", "site")(entry.value)
            entry = Source("stream" if is_live else "video", address, label=entry.name)  # noqa: PLW2901
        elif entry.kind == "object" and (_is_endless(entry.value) if live is None else live):
            entry = Source("object", entry.value, live=True)  # noqa: PLW2901
        settled.append(entry)
    return settled


def _is_endless(camera: Any) -> bool:
    """Whether a cv2.VideoCapture, or an object like one, is no file; files know their number of frames."""
    get = getattr(camera, "get", None)
    try:
        return not (callable(get) and get(7) > 0)  # 7: cv2.CAP_PROP_FRAME_COUNT
    except (TypeError, ValueError, KeyError):
        return True


# -- the threads; they know nothing of the Stream, so that it can be forgotten ------------------------------


def _read(found: Iterator[Frame | DataError], inbox: Channel[Frame | DataError]) -> None:
    try:
        for item in found:
            inbox.put(item)
    except End:
        pass
    except BaseException as error:  # raised again where results are taken
        inbox.finish(error)
    inbox.finish()


def _run_watch(watch: Watch, inbox: Channel[Frame | DataError]) -> None:
    try:
        watch.run()
    except End:
        pass
    except BaseException as error:
        inbox.finish(error)


def _find(
    inbox: Channel[Frame | DataError],
    outbox: Channel[Result | DataError],
    find: Find,
    batch: int,
    patience: float | None,
    watches: Sequence[Watch],
) -> None:
    try:
        while True:
            items = inbox.take(batch, fill=patience is None, timeout=patience)
            for item in _results(items, find, patience is not None):
                outbox.put(item)
    except End:
        outbox.finish()
    except TimeoutError:
        trouble = "; ".join(f"{watch.source.name}: {watch.trouble or 'no answer'}" for watch in watches)
        outbox.finish(DataError(f"no frame for {patience:g} seconds; {trouble}"))
    except BaseException as error:
        outbox.finish(error)


def _results(items: Sequence[Frame | DataError], find: Find, live: bool) -> Iterator[Result | DataError]:
    good = [item for item in items if isinstance(item, Frame)]
    start = time.perf_counter()
    try:
        found: Iterator[Detections | DataError] = iter(find([frame.image for frame in good]) if good else [])
    except DataError:  # one of them does not suit: take them singly, so that the others are not lost
        found = iter([_one(frame, find) for frame in good])
    end = time.perf_counter()
    for item in items:
        outcome = next(found) if isinstance(item, Frame) else item
        if isinstance(item, DataError) or isinstance(outcome, DataError):
            yield outcome  # type: ignore[misc]
        else:
            yield Result(item, outcome, end - item.captured, (end - start) / len(good), live)


def _one(frame: Frame, find: Find) -> Detections | DataError:
    try:
        return find([frame.image])[0]
    except DataError as error:
        return DataError(f"{frame.name}: {error}")


def _end(
    channels: Iterable[Channel[Any]],
    watches: Iterable[Watch],
    readers: Iterable[threading.Thread],
    finder: threading.Thread,
) -> None:
    for watch in watches:
        watch.stop()
    for channel in channels:
        channel.close()
    if finder is not threading.current_thread():
        finder.join()
    for reader in readers:
        if reader is not threading.current_thread():
            reader.join(1.0)
