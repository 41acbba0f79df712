# SPDX-License-Identifier: Apache-2.0
"""Detection on files, cameras and streams; decoding, inference and the caller's code overlap in threads.

Files give every frame, in order, and are waited for. Live sources give their newest frame: frames that
arrive while the network is busy are replaced by newer ones and counted, so latency stays that of one or two
inferences.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydarknet.engine.detections import Detections
from pydarknet.engine.hinted import hinted, refuse
from pydarknet.engine.model_files import is_whole
from pydarknet.engine.network import Names, Network
from pydarknet.engine.selection import Classes
from pydarknet.errors import ArgumentError, DataError
from pydarknet.streaming.detector import Detect, Detector, make_detector
from pydarknet.streaming.file_sources import Frame, count, frames
from pydarknet.streaming.frame_queue import EndOfQueue, FrameQueue
from pydarknet.streaming.live_sources import LiveReader
from pydarknet.streaming.result import Result, Stats
from pydarknet.streaming.sources import StreamSource, classify, expand
from pydarknet.system import extras
from pydarknet.system.closing import Closing

Skip = Callable[[DataError], None]


class Stream(Closing):
    """Iterator over results; made by :func:`stream` and :func:`detect`.

    It ends with its source, by :meth:`close`, at the end of its ``with`` block, or with the last reference.

    Attributes:
        stats: frames, dropped frames, latency, ... so far.
        live: whether the source is live.
    """

    def __init__(
        self,
        sources: Sequence[StreamSource],
        detector: Detect,
        batch: int,
        channels: int,
        every: int,
        patience: float,
    ) -> None:
        self.live = any(source.live for source in sources)
        self.stats = Stats(total=None if self.live else count(sources, every))
        self._skip: Skip | None = None
        inbox: FrameQueue[Frame | DataError] = FrameQueue(len(sources) if self.live else 2 * batch)
        self._outbox: FrameQueue[Result | DataError] = FrameQueue(1 if self.live else 2 * batch)
        live_readers: list[LiveReader] = []
        if self.live:
            live_readers = [LiveReader(source, partial(inbox.offer, source), every) for source in sources]
            readers = [threading.Thread(target=_run_reader, args=(reader, inbox)) for reader in live_readers]
            self.stats.readers = tuple(live_readers)
        else:
            readers = [threading.Thread(target=_read, args=(frames(sources, channels, every), inbox))]
        work = (inbox, self._outbox, detector, batch, patience if self.live else None, live_readers)
        worker = threading.Thread(target=_detect, args=work)
        for thread in (*readers, worker):
            thread.daemon = True  # a thread blocked in a camera's driver must not keep the process alive
            thread.name = "pydarknet.stream"
            thread.start()
        self._end = weakref.finalize(self, _end, (inbox, self._outbox), live_readers, readers, worker)
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
        except EndOfQueue:
            self.close()
            raise StopIteration from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the threads and release the source; a second call does nothing."""
        self._end()
        if self._network is not None:
            self._network.close()


@hinted
def stream(  # noqa: PLR0913  all but two by keyword
    net: Detector,
    source: Any,
    *,
    thresh: float = 0.25,
    nms: float = 0.45,
    letterbox: bool | None = None,
    classes: Classes | None = None,
    max_det: int | None = None,
    agnostic: bool = False,
    rgb: bool = False,
    tile: int | tuple[int, int] | None = None,
    overlap: float = 0.2,
    every: int = 1,
    live: bool | None = None,
    patience: float = 30.0,
    skip: Skip | None = None,
) -> Stream:
    """Detect objects in every image of a source.

    ::

        with pydarknet.Network("yolov4.cfg", "yolov4.weights") as net:
            for image, dets in pydarknet.stream(net, "video.mp4"):
                print(dets)

    Args:
        net: a :class:`Network`, or any object with its ``detect``.
        source: image, folder, glob pattern, list file, ZIP, video, camera number, URL, ``"screen"``,
            ``"-"`` for stdin, an array, a list of images, or an object with ``read()``;
            see :func:`pydarknet.streaming.sources.classify`.
        thresh: confidence above which an object is reported, 0..1.
        nms: overlap (IoU) above which the weaker of two boxes is suppressed, 0..1; 0 keeps all.
        letterbox: pad images instead of stretching them; by default as the cfg says.
        classes: report only these classes, by name or id.
        max_det: report at most this many objects of an image, the most confident ones.
        agnostic: suppress overlapping boxes of different classes, too.
        rgb: arrays of the source are red first, as those of imageio and torchvision; results are blue first.
        tile: also run on tiles of this size in pixels, (width, height) or one number for both; finds small
            objects in large images. See :mod:`pydarknet.streaming.tiling`.
        overlap: overlap between neighbouring tiles, as a fraction of a tile, 0..0.9.
        every: process every Nth frame of videos and live sources.
        live: whether an object with ``read()`` is a live source, whose old frames are dropped and which may
            fail for a while. By default it is, unless it knows its number of frames.
        patience: seconds without a frame after which a live source is stopped.
        skip: called with the error of each image that cannot be read; the stream then continues. By default
            the error is raised.

    Returns:
        An iterator of :class:`Result`; its ``stats`` count frames, dropped frames and latency.

    Raises:
        ArgumentError: a value is out of range, a class is unknown, or the source is not valid.
        DataError: the source cannot be read, or a live one is lost for good; also while iterating.
        MissingExtra: the source needs a package that is not installed.
    """
    if every < 1:
        raise ArgumentError(f"found every={every}, expected 1 (all frames) or more")
    chosen: dict[str, Any] = {
        "classes": classes,
        "max_det": max_det,
        "agnostic": agnostic,
        "tile": tile,
        "overlap": overlap,
    }
    detector = make_detector(net, thresh=thresh, nms=nms, letterbox=letterbox, **chosen)
    info = getattr(net, "info", None)
    sources = _sources(source, live, rgb)
    result = Stream(
        sources, detector, getattr(net, "batch", 1), getattr(info, "channels", 3), every, patience
    )
    result._skip = skip
    return result


def detect(
    cfg: str | os.PathLike[str],
    weights: Any = None,
    source: Any = None,
    *,
    names: Names | None = None,
    size: int | tuple[int, int] | None = None,
    **options: Any,
) -> Stream:
    """Load a network and detect objects in every image of a source.

    ::

        for image, dets in pydarknet.detect("yolov4.cfg", "yolov4.weights", "holiday/*.jpg"):
            print(dets)

    Args:
        cfg: path of the cfg file; or of a run folder or pack, which the source follows:
            ``detect("runs/pets", "a.jpg")``.
        weights: path of the weights file.
        source: as for :func:`stream`.
        names: as for :class:`Network`.
        size: input size in place of the cfg's, (width, height) or one number for both.
        options: arguments of :class:`Network` (``device``, ``batch``, ...) and :func:`stream` (``thresh``,
            ``every``, ...).

    Returns:
        A :class:`Stream`; closing it closes the network.

    Raises:
        DarknetError: see :class:`Network` and :func:`stream`.
    """
    if source is None and is_whole(Path(cfg)):
        weights, source = None, weights
    if source is None:
        raise ArgumentError("detect() needs a source: detect(CFG, WEIGHTS, SOURCE) or detect(MODEL, SOURCE)")
    loading = ("device", "backend", "precision", "batch", "threads", "strict", "library")
    own = {key: options.pop(key) for key in loading if key in options}
    known = [name for name in inspect.signature(stream).parameters if name not in ("net", "source")]
    refuse("detect()", options.keys() - known, [*loading, *known])
    network = Network(cfg, weights, names=names, **own)
    try:
        if size is not None:
            network.resize(*(size if isinstance(size, tuple) else (size, size)))
        result = stream(network, source, **options)
    except BaseException:
        network.close()
        raise
    result._network = network
    return result


def _sources(source: Any, live: bool | None, rgb: bool) -> list[StreamSource]:
    """Sources of one kind each: folders and lists expanded, pages resolved, live objects marked."""
    settled = []
    given = (
        source if isinstance(source, list) and source and isinstance(source[0], StreamSource) else [source]
    )
    for entry in (entry for one in given for entry in expand(classify(one))):
        if entry.kind == "site":
            address, is_live = extras.load("pydarknet.sources", "site")(entry.value)
            entry = StreamSource("stream" if is_live else "video", address, label=entry.name)  # noqa: PLW2901
        elif entry.kind == "object" and (_is_endless(entry.value) if live is None else live):
            entry = replace(entry, live=True)  # noqa: PLW2901
        settled.append(replace(entry, rgb=rgb) if rgb else entry)
    return settled


def _is_endless(camera: Any) -> bool:
    """Whether a cv2.VideoCapture, or an object like it, is not a file; files know their number of frames."""
    get = getattr(camera, "get", None)
    try:
        return not (callable(get) and get(7) > 0)  # 7: cv2.CAP_PROP_FRAME_COUNT
    except (TypeError, ValueError, KeyError):
        return True


# -- the threads; they hold no reference to the Stream, so that it can be garbage-collected -----------------


def _read(found: Iterator[Frame | DataError], inbox: FrameQueue[Frame | DataError]) -> None:
    try:
        for item in found:
            inbox.put(item)
    except EndOfQueue:
        pass
    except BaseException as error:  # raised again in Stream.__next__
        inbox.finish(error)
    inbox.finish()


def _run_reader(reader: LiveReader, inbox: FrameQueue[Frame | DataError]) -> None:
    try:
        reader.run()
    except EndOfQueue:
        pass
    except BaseException as error:
        inbox.finish(error)


def _detect(
    inbox: FrameQueue[Frame | DataError],
    outbox: FrameQueue[Result | DataError],
    detector: Detect,
    batch: int,
    patience: float | None,
    live_readers: Sequence[LiveReader],
) -> None:
    try:
        while True:
            items = inbox.take(batch, fill=patience is None, timeout=patience)
            for item in _results(items, detector, patience is not None):
                outbox.put(item)
    except EndOfQueue:
        outbox.finish()
    except TimeoutError:
        reasons = [f"{reader.source.name}: {reader.problem or 'no answer'}" for reader in live_readers]
        outbox.finish(DataError(f"no frame for {patience:g} seconds; {'; '.join(reasons)}"))
    except BaseException as error:
        outbox.finish(error)


def _results(
    items: Sequence[Frame | DataError], detector: Detect, live: bool
) -> Iterator[Result | DataError]:
    good = [item for item in items if isinstance(item, Frame)]
    start = time.perf_counter()
    try:
        found: Iterator[Detections | DataError] = iter(
            detector([frame.image for frame in good]) if good else []
        )
    except DataError:  # one image is not usable: run them one by one, so that the others are not lost
        found = iter([_one(frame, detector) for frame in good])
    end = time.perf_counter()
    for item in items:
        outcome = next(found) if isinstance(item, Frame) else item
        if isinstance(item, DataError) or isinstance(outcome, DataError):
            yield outcome  # type: ignore[misc]
        else:
            yield Result(item, outcome, end - item.captured, (end - start) / len(good), live)


def _one(frame: Frame, detector: Detect) -> Detections | DataError:
    try:
        return detector([frame.image])[0]
    except DataError as error:
        return DataError(f"{frame.name}: {error}")


def _end(
    queues: Iterable[FrameQueue[Any]],
    live_readers: Iterable[LiveReader],
    threads: Iterable[threading.Thread],
    worker: threading.Thread,
) -> None:
    for reader in live_readers:
        reader.stop()
    for queue in queues:
        queue.close()
    if worker is not threading.current_thread():
        worker.join()
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(1.0)
