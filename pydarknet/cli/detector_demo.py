# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector demo DATA CFG WEIGHTS [VIDEO]``, as ``darknet`` has it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import click
import numpy.typing as npt

from pydarknet import darknet_json
from pydarknet.cli._darknet_flags import DarknetCommand, devices, unsupported
from pydarknet.cli._detector import object_lines, open_network, without_hidden
from pydarknet.errors import DataError, FileError
from pydarknet.files import replacing, write_text

Frame = npt.NDArray[Any]
_INSTEAD = "see pydarknet detect --help for what it serves"


@click.command("demo", cls=DarknetCommand)
@click.argument("data")
@click.argument("cfg")
@click.argument("weights")
@click.argument("video", required=False)
@click.option("-thresh", type=click.FloatRange(0, 1), default=0.25, show_default=True, help="Confidence.")
@click.option(
    "-c", "camera", type=click.IntRange(0), default=0, show_default=True, help="Camera, if no VIDEO."
)
@click.option("-ext_output", is_flag=True, help="Print where the objects are, too.")
@click.option("-letter_box", is_flag=True, help="Pad frames instead of stretching them.")
@click.option("-out_filename", metavar="FILE", help="Write the annotated film.")
@click.option("-prefix", metavar="NAME", help="Write annotated frames as NAME_00000001.jpg, ...")
@click.option("-json_file_output", metavar="FILE", help="Write detections as JSON.")
@click.option(
    "-time_limit_sec", type=click.IntRange(0), default=0, help="Stop after so many seconds; 0: never."
)
@click.option("-dontdraw_bbox", is_flag=True, help="Leave the frames as they are.")
@click.option("-dont_show", is_flag=True, expose_value=False, help="No window; there never is one.")
@click.option("-hier", type=float, expose_value=False, help="Without effect, as in Darknet.")
@unsupported("-mjpeg_port", _INSTEAD)
@unsupported("-json_port", _INSTEAD)
@unsupported("-http_post_host", _INSTEAD)
@unsupported("-avgframes", "each frame is detected by itself")
@unsupported("-s", "see pydarknet detect --every")
@unsupported("-benchmark", "see pydarknet bench", takes_value=False)
@unsupported("-benchmark_layers", "see pydarknet bench", takes_value=False)
@devices
def command(
    data: str,
    cfg: str,
    weights: str,
    video: str | None,
    thresh: float,
    camera: int,
    ext_output: bool,
    letter_box: bool,
    out_filename: str | None,
    prefix: str | None,
    json_file_output: str | None,
    time_limit_sec: int,
    dontdraw_bbox: bool,
) -> None:
    """Find objects in each frame of a film, a stream or a camera.

    ``pydarknet detect`` does more, and faster; this is for command lines that exist.

    \b
    Example:
      pydarknet detector demo coco.data yolov4.cfg yolov4.weights film.mp4 -dont_show -out_filename out.avi
    """
    records: list[str] = []
    start = time.perf_counter()
    with open_network(data, cfg, weights) as network, ExitStack() as stack:
        film = _Film(stack, out_filename) if out_filename else None
        previous = time.perf_counter()
        for number, (frame, rate) in enumerate(read_frames(video if video else camera), start=1):
            found = network.detect(frame, thresh, letterbox=True if letter_box else None)
            now = time.perf_counter()
            click.echo(
                f"\nFPS:{1 / (now - previous):.1f} \t AVG_FPS:{number / (now - start):.1f}\nObjects:\n"
            )
            previous = now
            for line in object_lines(found, ext_output):
                click.echo(line)
            shown = without_hidden(found)
            picture = frame if dontdraw_bbox else shown.plot(frame)
            if film:
                film.write(picture, rate)
            if prefix:
                _save_frame(f"{prefix}_{number:08d}.jpg", picture)
            records.append(shown.to_json(video or "", number))
            if time_limit_sec and now - start > time_limit_sec:
                break
    if json_file_output:
        write_text(json_file_output, darknet_json.format_file(records))


def read_frames(source: str | int) -> Iterator[tuple[Frame, float]]:
    """Frames (h, w, 3) uint8, blue first, and the frames per second that the source claims.

    Raises:
        DataError: the source cannot be opened, or has no frame.
    """
    import cv2

    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            raise DataError(f"{source}: cannot be opened as a film, stream or camera")
        rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
        count = 0
        while True:
            read, frame = capture.read()
            if not read:
                break
            count += 1
            yield frame, rate
        if not count:
            raise DataError(f"{source}: has no frame that can be decoded")
    finally:
        capture.release()


class _Film:
    """A film that appears when it is complete."""

    def __init__(self, stack: ExitStack, path: str) -> None:
        self._path = path
        self._writer: Any = None
        self._temporary = stack.enter_context(replacing(path))
        stack.callback(self._close)

    def write(self, picture: Frame, rate: float) -> None:
        import cv2

        if self._writer is None:
            height, width = picture.shape[:2]
            codec = "mp4v" if self._path.lower().endswith((".mp4", ".m4v", ".mov")) else "MJPG"
            fourcc = cv2.VideoWriter.fourcc(*codec)
            self._writer = cv2.VideoWriter(str(self._temporary), fourcc, rate, (width, height))
            if not self._writer.isOpened():
                raise FileError(f"{self._path}: OpenCV cannot write such a film; try a name ending in .avi")
        self._writer.write(picture)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.release()


def _save_frame(path: str, picture: Frame) -> None:
    import cv2

    with replacing(path) as temporary:
        cv2.imwrite(str(temporary), picture)
