# SPDX-License-Identifier: Apache-2.0
"""Hints for options of YOLOv5, Ultralytics and Darknet that have another name here.

Fixed tables come before the edit distance, which would propose ``--cfg`` for ``--img``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence

import click

DEVICES = ("devices", "gpu", "gpus", "i", "cuda")  # words for the option of other programs

#: Name in other programs -> names here, of which a command has one.
SYNONYMS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("img", "imgsz", "img-size", "image-size", "input-size", "resolution"), ("--size", "--sizes")
    ),
    **dict.fromkeys(
        ("name", "project", "output", "output-dir", "save-dir", "out-filename", "prefix"), ("--out",)
    ),
    **dict.fromkeys(("save-period", "save-interval"), ("--save-every",)),
    **dict.fromkeys(("lr0", "learning-rate"), ("--lr",)),
    **dict.fromkeys(("iterations", "iters", "max-iter"), ("--max-batches",)),
    **dict.fromkeys(("early-stop", "early-stopping"), ("--patience",)),
    **dict.fromkeys(("val-period", "val-interval", "map"), ("--map-every",)),
    "noplots": ("--no-plots",),
    "show-imgs": ("--dump-batches",),
    **dict.fromkeys(("conf", "conf-thres", "conf-threshold", "confidence", "threshold"), ("--thresh",)),
    **dict.fromkeys(("iou-thres", "iou-threshold", "nms-thresh", "nms-threshold"), ("--nms",)),
    **dict.fromkeys(("iou", "iou-thresh"), ("--iou", "--nms")),
    "letter-box": ("--letterbox",),
    "task": ("--split",),
    "image-folder": ("--images",),
    "images": ("--image-folder",),
    **dict.fromkeys(("num-of-clusters", "n-anchors"), ("--num",)),
    "workers": ("--threads",),
    **dict.fromkeys(("line-thickness", "thickness"), ("--line-width",)),
    "vid-stride": ("--every",),
    **dict.fromkeys(("view-img", "display"), ("--show",)),
    **dict.fromkeys(("nosave", "dont-show"), ("--no-pictures",)),
    **dict.fromkeys(("save-txt", "save-yolo"), ("--save-labels",)),
    "save-crop": ("--crops",),
    **dict.fromkeys(("class", "filter"), ("--classes",)),
    "batch-size": ("--batch", "--batches"),
    **dict.fromkeys(("half", "fp16", "dtype", "amp"), ("--precision", "--precisions")),
    **dict.fromkeys(("tracker", "tracking"), ("--track",)),
    **dict.fromkeys(("config", "config-file"), ("--cfg",)),
    **dict.fromkeys(("data-file", "dataset", "obj"), ("--data",)),
    **dict.fromkeys(("pretrained", "ckpt", "checkpoint", "weight"), ("--weights",)),
    **dict.fromkeys(("host", "port", "mjpeg-port", "json-port"), ("--http",)),
    **dict.fromkeys(DEVICES, ("--device",)),
}

_ADAM = "SGD is the default; --set adam=1 chooses Adam, a key of the cfg."
_POLICY = "The schedule is the cfg's key policy: --set policy=sgdr."
_ONE_FORMAT = "The one format is ONNX: pydarknet export onnx CFG WEIGHTS."

#: Arguments of Ultralytics -> keys of the cfg that stand for them.
_KEYS = {
    "mosaic": "mosaic=0",
    "mixup": "mixup=1",
    "momentum": "momentum=0.9",
    "weight-decay": "decay=0.0005",
    "warmup-epochs": "burn_in=1000",
    "label-smoothing": "yolo.label_smooth_eps=0.1",
    "multi-scale": "yolo.random=1",
}

#: (command or "" for any, name in other programs) -> advice.
ADVICE: dict[tuple[str, str], str] = {
    **{("train", name): f"A key of the cfg does this: --set {key}." for name, key in _KEYS.items()},
    **{("train", name): _ADAM for name in ("optimizer", "adam", "adamw")},
    **{("train", name): _POLICY for name in ("cos-lr", "linear-lr", "lrf")},
    **{
        ("train", name): "--tensorboard and --mlflow log to other programs."
        for name in ("entity", "upload-dataset", "bbox-interval", "artifact-alias")
    },
    **{("export", name): _ONE_FORMAT for name in ("include", "format", "weights")},
    ("train", "exist-ok"): "The same command again resumes the run; --restart starts over.",
    ("train", "noval"): "--map-every 0 evaluates never.",
    ("train", "nosave"): "--keep last,0 keeps the last weights alone.",
    ("train", "noautoanchor"): "Anchors are not changed; `pydarknet anchors` computes others.",
    ("train", "evolve"): "There is no search; `pydarknet runs` compares runs with other settings.",
    ("train", "local-rank"): "Several workers: --processes N, --devices 0,1, or mpiexec.",
    ("train", "dont-show"): "Windows are not opened; --no-plots leaves the plots out.",
    ("train", "single-cls"): "Merge the classes of the data set: pydarknet data remap --merge NEW=A,B.",
    ("train", "rect"): "Images are fitted by the cfg's key letter_box.",
    ("train", "image-weights"): "Balance the data set: pydarknet data balance.",
    ("detect", "source"): "The source is an argument without an option: pydarknet detect ... SOURCE.",
    ("detect", "augment"): "There is no augmentation in detection; --size and --tile find small objects.",
    ("detect", "exist-ok"): "Outputs are replaced; --out chooses another folder.",
    ("detect", "ext-output"): "Corners are in the file of --to; --to jsonl=- prints them.",
    ("detect", "c"): "The number of a camera is the source: pydarknet detect ... 0.",
    ("detect", "save-csv"): "--to csv writes a table.",
    ("eval", "save-txt"): "`pydarknet detect --save-labels` writes label files.",
    ("eval", "points"): "--protocol voc11 or coco101 chooses the points of recall.",
    ("eval", "save-json"): "--results coco writes the detections for COCO's server, with --out.",
    **{
        ("serve", name): "The network is arguments without an option: pydarknet serve CFG WEIGHTS."
        for name in ("cfg", "weights", "model")
    },
    ("", "model"): "A network is a cfg and its weights: --cfg FILE --weights FILE.",
    **{("", name): "This command does not compute a network." for name in (*DEVICES, "device")},
}


#: Commands of other programs -> words here.
COMMANDS = {
    **dict.fromkeys(("predict", "test", "infer", "inference"), "detect"),
    **dict.fromkeys(("val", "valid", "validate", "evaluate", "map"), "eval"),
    **dict.fromkeys(("benchmark", "speed"), "bench"),
    **dict.fromkeys(("calc_anchors", "autoanchor"), "anchors"),
    "track": "detect --track bytetrack",
    "resume": "train --resume RUN",
    "partial": "weights partial",
    "download": "weights get",
    "onnx": "export onnx",
}


def command_hint(name: str, table: Collection[str]) -> str:
    """Hint at what to use instead of a command that a group does not have; "" if nothing is like it."""
    if (known := COMMANDS.get(name, "")) and known.partition(" ")[0] in table:
        return f" Use pydarknet {known}."
    close = difflib.get_close_matches(name, table, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class HintedGroup(click.Group):
    """A group of commands whose options may be written with underscores, and which explains unknown ones."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own options; keep the command line for hints."""
        words = [_dashed(word) for word in args]
        ctx.meta[__name__] = words
        return super().parse_args(ctx, words)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an unknown option of it is an error with a hint."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            raise explained(error, ctx.meta[__name__]) from None
        except click.UsageError as error:
            raise _without_equals(error, ctx.meta[__name__]) from None


def _dashed(word: str) -> str:
    """``--max_batches`` as ``--max-batches``; a value after ``=`` stays."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if re.match(r"--[A-Za-z]", name) else word


def _without_equals(error: click.UsageError, words: Sequence[str]) -> click.UsageError:
    """The error, with how options are written if they were given as in Ultralytics: ``data=data.yaml``."""
    if error.message.startswith("Got unexpected extra argument"):
        found = (word for word in words if re.match(r"[A-Za-z]\w*=", word) and word in error.message)
        if word := next(found, ""):
            name, _, value = word.partition("=")
            return click.UsageError(f"{error.message}. Options are written --{name} {value}.", error.ctx)
    return error


def explained(error: click.NoSuchOption, words: Sequence[str]) -> click.UsageError:
    """The error for an option that a command does not have, with what to use instead."""
    if error.ctx is None:
        return error
    word = _typed(error.option_name, words)
    own = list(_options(error.ctx.command))
    hint = _hint(error.ctx.command.name or "", word.lstrip("-").replace("_", "-").lower(), own)
    return click.UsageError(f"No such option {word!r}.{' ' if hint else ''}{hint}", error.ctx)


def nearest(name: str, own: Sequence[str]) -> str:
    """The option among ``own`` that a word of another program or a misspelt one means; "" if none is near."""
    if name in SYNONYMS:
        return next((option for option in SYNONYMS[name] if option in own), "")
    return next(iter(difflib.get_close_matches(f"--{name}", own, n=1, cutoff=0.75)), "")


def _typed(option: str, words: Sequence[str]) -> str:
    """The word of the user: click reports -t of -thresh."""
    if option.startswith("--"):
        return option
    long = (word.partition("=")[0] for word in words if re.match(r"-[A-Za-z]\w+", word))
    return next((word for word in long if option[1:] in word), option)


def _options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield from (name for name in (*parameter.opts, *parameter.secondary_opts) if name[:2] == "--")


def _hint(command: str, name: str, own: Sequence[str]) -> str:
    if advice := ADVICE.get((command, name)):
        return advice
    if found := next((option for option in SYNONYMS.get(name, ()) if option in own), ""):
        return f"Use {found}."
    if f"--{name}" in own:  # with one dash, as in Darknet
        return f"Use --{name}."
    if advice := ADVICE.get(("", name)):
        return advice
    if name in SYNONYMS:  # this command has nothing of the kind: what is spelt alike is something else
        return "--help lists the options."
    close = difflib.get_close_matches(f"--{name}", own, n=2, cutoff=0.75)
    close += [option for option in own if option.startswith(f"--{name}-") and option not in close]
    return f"Did you mean {' or '.join(close[:2])}?" if close else "--help lists the options."
