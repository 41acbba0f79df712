# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector demo DATA CFG WEIGHTS [VIDEO]``, like ``darknet detector demo``."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click

from pydarknet.cli._impl.darknet_flags import DarknetCommand, devices, unsupported
from pydarknet.cli._impl.detector import object_lines, open_network, without_hidden
from pydarknet.engine.images import save_image
from pydarknet.streaming.outputs.media import VideoFile
from pydarknet.streaming.outputs.text import TextFile
from pydarknet.streaming.stream import stream

_INSTEAD = "see --http in pydarknet detect --help"


@click.command("demo", cls=DarknetCommand)
@click.argument("data")
@click.argument("cfg")
@click.argument("weights")
@click.argument("video", required=False)
@click.option("-thresh", type=click.FloatRange(0, 1), default=0.25, show_default=True, help="Confidence.")
@click.option(
    "-c", "camera", type=click.IntRange(0), default=0, show_default=True, help="Camera, if no VIDEO."
)
@click.option("-ext_output", is_flag=True, help="Also print the boxes.")
@click.option("-letter_box", is_flag=True, help="Pad frames instead of stretching them.")
@click.option("-out_filename", metavar="FILE", help="Write the annotated video.")
@click.option("-prefix", metavar="NAME", help="Write annotated frames as NAME_00000001.jpg, ...")
@click.option("-json_file_output", metavar="FILE", help="Write detections as JSON.")
@click.option(
    "-time_limit_sec", type=click.IntRange(0), default=0, help="Stop after N seconds; 0: never.", metavar="N"
)
@click.option("-dontdraw_bbox", is_flag=True, help="Do not draw boxes.")
@click.option("-dont_show", is_flag=True, expose_value=False, help="No effect: no window is opened.")
@click.option("-hier", type=float, expose_value=False, help="No effect, as in Darknet.")
@unsupported("-mjpeg_port", _INSTEAD)
@unsupported("-json_port", _INSTEAD)
@unsupported("-http_post_host", _INSTEAD)
@unsupported("-avgframes", "detections of frames are not averaged")
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
    device: str,
) -> None:
    """Detect objects in a video or camera stream.

    ``pydarknet detect`` has more options and is faster; this command serves existing command lines.

    \b
    Example:
      pydarknet detector demo coco.data yolov4.cfg yolov4.weights video.mp4 -dont_show -out_filename out.avi
    """
    start = previous = time.perf_counter()
    with ExitStack() as stack:
        network = stack.enter_context(open_network(data, cfg, weights, device))
        records = _records(stack, json_file_output, video or "") if json_file_output else None
        annotated: VideoFile | None = None
        boxed = True if letter_box else None
        results = stack.enter_context(
            stream(network, video if video else camera, thresh=thresh, letterbox=boxed)
        )
        for number, result in enumerate(results, start=1):
            now = time.perf_counter()
            click.echo(
                f"\nFPS:{1 / (now - previous):.1f} \t AVG_FPS:{number / (now - start):.1f}\nObjects:\n"
            )
            previous = now
            for line in object_lines(result.detections, ext_output):
                click.echo(line)
            shown = without_hidden(result.detections)
            image = result.frame.image if dontdraw_bbox else shown.plot(result.frame.image)
            if out_filename:
                if annotated is None:
                    annotated = VideoFile(Path(out_filename), result.frame.fps, live=results.live)
                    stack.callback(annotated.close)
                annotated.write(image, result.frame.time)
            if prefix:
                save_image(Path(f"{prefix}_{number:08d}.jpg"), image)
            if records:
                records.write(replace(result, detections=shown), lambda: None)
            if time_limit_sec and now - start > time_limit_sec:
                break


def _records(stack: ExitStack, path: str, video: str) -> TextFile:
    """The JSON file, written frame by frame; it is kept if the command is interrupted."""
    records = TextFile(path, lambda result, n: result.detections.to_json(video, n), "[\n", ", \n", "\n]")
    stack.callback(records.close)
    return records
