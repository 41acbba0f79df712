# SPDX-License-Identifier: Apache-2.0
"""Every way to be wrong is answered by the right exception, whose message says what, where and what to do."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pydarknet import (
    ArgumentError,
    BackendError,
    CfgError,
    DarknetError,
    DataError,
    Detections,
    FileError,
    Network,
    WeightsError,
    detect,
    evaluate,
    stream,
    train,
)
from pydarknet.engine import hinted, selftest

Make = Callable[..., Network]
HEADER = struct.pack("<iiiQ", 0, 2, 5, 0)
SHIPPED = Path(__file__).parents[2] / "cfg"


# -- cfg files -----------------------------------------------------------------------------------------------


def changed(old: str, new: str) -> str:
    assert old in selftest.CFG
    return selftest.CFG.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"net\.cfg: no section found"),
        ("[convolutional]\nfilters=1\n", r"net\.cfg:1 \[convolutional\]: found \[convolutional\], expected \[net\]"),
        ("[net]\nwidth=4\nheight=4\nchannels=1\n", r"net\.cfg: has no layer after \[net\]"),
        ("width=4\n[net]\n", r"net\.cfg:1: found an option before any section"),
        (changed("stride=1", "strid=1"), r'net\.cfg:11 \[convolutional\] strid: unknown key "strid"; did you mean "stride"'),
        (changed("[maxpool]", "[maxpol]"), r"net\.cfg:15 \[maxpol\]: unknown section \[maxpol\]; did you mean \[maxpool\]"),
        (changed("[maxpool]", "[maxpool"), r'net\.cfg:15: found "\[maxpool", expected a section'),
        (changed("filters=6", "filters=7"), r"net\.cfg:24 \[yolo\].*7.*6|net\.cfg:19 \[convolutional\].*7.*6"),
        (changed("size=3", "size=three"), r'net\.cfg:10 \[convolutional\] size: found "three", expected a whole number'),
        (changed("size=3", "size=0"), r"net\.cfg:10 \[convolutional\] size: found 0, expected 1 to"),
        (changed("size=3", "size=99999999999"), r"net\.cfg:10 \[convolutional\] size: found 99999999999.*32 bits"),
        (changed("pad=1", "pad"), r'net\.cfg:12: found "pad", expected key=value'),
        (changed("leaky", "leeky"), r'net\.cfg:13 \[convolutional\] activation: unknown activation "leeky"; did you mean "leaky"'),
        (changed("size=2\n", "size=9\npadding=0\n"), r"net\.cfg:15 \[maxpool\]: a window of 9 does not fit an input of 4"),
        (changed("width=4", "width=0"), r"net\.cfg:\d+ \[net\] width"),
        (changed("[maxpool]\nsize=2\nstride=2", "[route]\nlayers=-4"), r"net\.cfg:16 \[route\] layers: found -4.*layer before"),
        (changed("[maxpool]\nsize=2\nstride=2", "[lstm]\nbatch=1"), r"net\.cfg:15 \[lstm\]: .*recurrent"),
        (changed("mask=0", "mask=1"), r"net\.cfg:25 \[yolo\] mask"),
    ],
)  # fmt: skip
def test_a_wrong_cfg_is_named_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(CfgError, match=message):
        Network.parse(text, name="net.cfg")


def test_a_missing_cfg_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.cfg: cannot open the file: No such file"):
        Network(tmp_path / "nowhere.cfg")
    with pytest.raises(OSError, match=r"is neither a cfg, nor a run \(with run\.json\), nor a pack"):
        Network(tmp_path)


@pytest.mark.parametrize(
    ("make", "name", "hint"),
    [
        (Detections.empty, "conf", "'Detections' object has no attribute 'conf'; use confidence"),
        (Detections.empty, "pandas", "'Detections' object has no attribute 'pandas'; use to_pandas()"),
        (Detections.empty, "zzz", "'Detections' object has no attribute 'zzz'"),
        (lambda: Network.parse(selftest.CFG), "val", "use pydarknet.evaluate(network, data)"),
    ],
)
def test_attributes_of_other_libraries(make: Callable[[], object], name: str, hint: str) -> None:
    thing = make()
    with pytest.raises(AttributeError, match=re.escape(hint) + "$"):
        getattr(thing, name)
    assert not hasattr(thing, name)


def test_hints_name_attributes_that_exist() -> None:
    for kind in (Detections, Network):
        for other, meant in hinted._ATTRIBUTES[kind.__name__].items():
            assert not hasattr(kind, other)
            words = re.match(r"\w+", meant)
            if words and meant[0] not in "`" and words[0] not in ("pydarknet", "Network", "the"):
                assert words[0] in {*dir(kind), *getattr(kind, "__dataclass_fields__", ())}, meant


def test_a_property_that_fails_keeps_its_error() -> None:
    class Failing(hinted.Hinting):
        @property
        def value(self) -> int:
            return None.real  # type: ignore[attr-defined, no-any-return]

    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'real'"):
        _ = Failing().value


def test_what_is_not_what_a_function_takes(tmp_path: Path) -> None:
    with Network.parse(selftest.CFG) as network:
        with pytest.raises(DataError, match=r"is a folder; expected a file; stream\(\) reads all images"):
            network.detect(tmp_path)
        with pytest.raises(
            ArgumentError, match=r"found str, expected an array \(n, c, h, w\); detect\(\) takes"
        ):
            network.predict("a.jpg")
    with pytest.raises(ArgumentError, match=r"found 'runs/x' as network, expected Network\('runs/x'\)"):
        evaluate("runs/x", "obj.data")  # type: ignore[arg-type]
    with pytest.raises(
        ArgumentError, match=r"found 'my\.cfg', expected settings: train\(TrainConfig\(cfg=\.\.\."
    ):
        train("my.cfg")  # type: ignore[arg-type]


def test_garbage_is_no_cfg(tmp_path: Path) -> None:
    (tmp_path / "noise.cfg").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(CfgError, match=r"noise\.cfg"):
        Network(tmp_path / "noise.cfg")


# -- weights files -------------------------------------------------------------------------------------------


def floats(*, spoil: dict[int, float] | None = None, count: int | None = None) -> bytes:
    values = np.concatenate(selftest._PARAMETERS).astype("<f4")
    for index, value in (spoil or {}).items():
        values[index] = value
    return HEADER + np.resize(values, len(values) if count is None else count).astype("<f4").tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"has 0 bytes, too few for the header"),
        (HEADER, r"holds a header and no weights; expected 25 floats"),
        (floats()[:-2], r"ends inside a number"),
        (
            floats(count=20),
            r"ends inside layer 2 .*\[convolutional\]\), in its weights.*found 20 floats, expected 25",
        ),
        (floats(count=5), r"ends inside layer 0 .*in its weights"),
        (floats(count=33), r"holds 33 floats, 8 more than the 25 of .*tiny\.cfg"),
        (floats(count=27), r"classes=2 exactly: set classes in every head"),
        (floats(spoil={3: -1.0}), r"layer 0 .*variances\[0\] is -1, expected"),
        (floats(spoil={5: float("nan")}), r"layer 0 .*weights\[1\] is -?nan"),
        (floats(spoil={13: float("inf")}), r"layer 2 .*biases\[0\] is inf"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), r"is not a Darknet weights file"),
        (b"PK\x03\x04" + bytes(100), r"is not a Darknet weights file"),
    ],
)
def test_a_wrong_weights_file_is_refused_with_the_layer(
    tiny_files: tuple[Path, Path], content: bytes, message: str
) -> None:
    cfg, weights = tiny_files
    weights.write_bytes(content)
    with pytest.raises(WeightsError, match=r"(?s)tiny\.weights: .*" + message):
        Network(cfg, weights)


def test_a_missing_weights_file_is_a_file_error(tiny_files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"gone\.weights: cannot open"):
        Network(tiny_files[0], tmp_path / "gone.weights")


# Floats in public files, and the networks of which they end on a layer's boundary: layers that they cover.
PUBLIC = {
    "yolov4.conv.137": (42_509_664, {"yolov4": 137}),
    "yolov4.weights": (64_429_405, {"yolov4": 162}),
    "yolov4-tiny.conv.29": (4_947_424, {"yolov4-tiny": 29, "yolov4-tiny-3l": 29}),
    "yolov4-tiny.weights": (6_062_814, {"yolov4-tiny": 38, "yolov4-tiny-3l": 37}),
    "darknet53.conv.74": (40_620_640, {"yolov3": 74, "yolov3-spp": 74}),
    "yolov3.weights": (62_001_757, {"yolov3": 107}),
    "yolov3-tiny.conv.11": (1_575_792, {"yolov3-tiny": 11}),
    "yolov3-tiny.weights": (8_858_734, {"yolov3-tiny": 24}),
    "yolov4-csp.conv.142": (36_637_024, {"yolov4-csp": 142}),
    "yolov4-csp.weights": (52_986_205, {"yolov4-csp": 175}),
}
NETWORKS = [
    "yolov3",
    "yolov3-spp",
    "yolov3-tiny",
    "yolov4",
    "yolov4-csp",
    "yolov4-tiny",
    "yolov4-tiny-3l",
    "yolov4x-mish",
]


def sparse(path: Path, count: int) -> Path:
    """A weights file of zeros that takes no room on the disk."""
    with path.open("wb") as file:
        file.write(HEADER)
        file.truncate(len(HEADER) + 4 * count)
    return path


@pytest.mark.parametrize("file", PUBLIC)
def test_wrong_pairs_of_cfg_and_weights_are_refused(file: str, tmp_path: Path) -> None:
    """Darknet loads any file into any network without a word. Right pairs are loaded below."""
    count, right = PUBLIC[file]
    weights = sparse(tmp_path / file, count)
    for name in NETWORKS:
        if name not in right:
            with pytest.raises(
                WeightsError, match=rf"{re.escape(file)}: (ends inside layer \d+ |holds \d+ floats, )"
            ):
                Network(SHIPPED / f"{name}.cfg", weights)


@pytest.mark.slow
@pytest.mark.parametrize("file", PUBLIC)
def test_right_pairs_load_as_far_as_the_file_goes(file: str, tmp_path: Path) -> None:
    count, right = PUBLIC[file]
    weights = sparse(tmp_path / file, count)
    for name, layers in right.items():
        with Network(SHIPPED / f"{name}.cfg", weights) as network:
            assert network.info.layers_loaded == layers


def test_the_class_count_of_a_file_is_named(tmp_path: Path) -> None:
    """yolov4-tiny has 5 866 464 + 2310 (classes + 5) floats; one trained on 3 classes, loaded into the 80-class cfg."""
    weights = sparse(tmp_path / "mine.weights", 5_866_464 + 2310 * (3 + 5))
    with pytest.raises(WeightsError, match=r"Its size fits this network with classes=3 exactly"):
        Network(SHIPPED / "yolov4-tiny.cfg", weights)


# -- arguments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"backend": "gpu"}, BackendError, r'"gpu".*ref'),
        ({"backend": "check:ref,gpu"}, BackendError, r'"gpu".*ref'),
        ({"backend": "ref", "precision": "bf16"}, BackendError, r"bf16"),
        ({"precision": "fp16"}, BackendError, r"found precision fp16, expected fp32"),
        ({"precision": "int8"}, ArgumentError, r'found precision "int8", expected "auto", "fp32", "tf32", "bf16" or '),
        ({"batch": 0}, ArgumentError, r"found batch 0, expected 1 to 1048576"),
        ({"batch": 10**9}, ArgumentError, r"found batch 1000000000, expected 1 to 1048576"),
        ({"threads": -1}, ArgumentError, r"found -1 threads, expected 1 to \d+, or 0 for all \d+ cores that this "),
        ({"threads": 10**10}, ArgumentError, r"found 2147483647 threads, expected 1 to \d+, or 0 for all \d+ cores "),
        ({"threads": 2.5}, ArgumentError, r"found threads 2\.5, expected a whole number"),
        ({"batch": "8"}, ArgumentError, r"found batch '8', expected a whole number"),
        ({"threads": 10**6}, ArgumentError, r"found 1000000 threads, expected 1 to \d+, or 0 for all \d+ cores "),
        ({"names": ["a", "b"]}, DataError, r"found 2 class names, the network has 1 classes"),
        ({"names": "missing.names"}, DataError, r"missing\.names: cannot be read: No such file"),
    ],
)  # fmt: skip
def test_wrong_options(
    tiny: Make, options: dict[str, object], kind: type[DarknetError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        tiny(**options).predict(np.zeros((1, 1, 4, 4)))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda n: n.resize(2**31, 32), ArgumentError, r"cannot have an input of 2147483647 x 32"),
        (lambda n: n.resize(32.5, 32), ArgumentError, r"found width 32\.5, expected a whole number"),
        (lambda n: setattr(n, "batch", "8"), ArgumentError, r"found batch '8', expected a whole number"),
        (lambda n: setattr(n, "batch", -(2**40)), ArgumentError, r"found batch -2147483648, expected 1 to 1048576"),
        (lambda n: setattr(n, "batch", 10**9), ArgumentError, r"found batch 1000000000, expected"),
        (lambda n: Network.parse("[net]", training=True), ArgumentError, r"found the option 'training', expected one"),
        (lambda n: detect("a", None, "b", lib=1), ArgumentError, r"detect\(\) has no argument 'lib'; expected one of"),
        (lambda n: detect("a", None, "b", conf=1), ArgumentError, r"detect\(\) has no argument 'conf'; use thresh$"),
        (lambda n: stream(n, "b", vid_stride=2), ArgumentError, r"stream\(\) has no argument 'vid_stride'; use every$"),
        (lambda n: n.detect("a", iou=0.5), ArgumentError, r"detect\(\) has no argument 'iou'; use nms$"),
        (lambda n: n("a", imgsz=320), ArgumentError, r"detect\(\) has no argument 'imgsz'; use Network\.resize\(w"),
        (lambda n: n.detect("a", colour=1), ArgumentError, r"'colour'; expected one of image, thresh, nms, letterbox, "),
        (lambda n: n.predict(np.zeros((1, 3, 4, 4))), ArgumentError, r"shape \(1, 3, 4, 4\), expected \(n, 1, 4, 4\)"),
        (lambda n: n.predict(np.zeros((0, 1, 4, 4))), ArgumentError, r"shape \(0, 1, 4, 4\)"),
        (lambda n: n.predict(np.zeros((4, 4))), ArgumentError, r"shape \(4, 4\)"),
        (lambda n: n.predict(np.zeros((1, 1, 4, 4)), [4]), ArgumentError, r"found layer 4, expected 0 to 3"),
        (lambda n: n.predict(np.zeros((1, 1, 4, 4)), [-1]), ArgumentError, r"found layer -1, expected 0 to 3"),
        (lambda n: n.resize(7, 4), ArgumentError, r"cannot have an input of 7 x 4; expected multiples of its stride 2"),
        (lambda n: n.resize(0, 4), ArgumentError, r"cannot have an input of 0 x 4"),
        (lambda n: n.detect(3), ArgumentError, r"image of type int; expected an array, a path, bytes or a PIL image"),
        (lambda n: n.detect(np.zeros((4, 4), np.int32)), ArgumentError, r"image of int32; expected uint8 .*, uint16 .* or floats"),
        (lambda n: n.detect(np.zeros((4, 4, 1, 1), np.uint8)), ArgumentError, r"shape \(4, 4, 1, 1\)"),
        (lambda n: n.detect(np.zeros((4, 4, 2), np.uint8)), DataError, r"has 2 channels, the network takes 1"),
        (lambda n: n.detect("gone.jpg"), DataError, r"gone\.jpg: cannot be read: No such file"),
        (lambda n: n.detect(b""), DataError, r"image bytes: is empty"),
        (lambda n: n.detect(b"no image"), DataError, r"image bytes: cannot be decoded"),
        (lambda n: n.detect(np.zeros((4, 4), np.uint8), thresh=2), ArgumentError, r"found thresh 2, expected 0 to 1"),
        (lambda n: n.detect(np.zeros((4, 4), np.uint8), nms=-1), ArgumentError, r"found nms -1, expected 0 to 1"),
        (lambda n: n.save_weights("x", cutoff=-1), ArgumentError, r"found cutoff=-1"),
        (lambda n: n.save_weights("x", cutoff=99), ArgumentError, r"a cutoff of 99"),
        (lambda n: n.save_weights("no/such/folder/x"), FileError, r"no/such/folder/x"),
        (lambda n: n.save_weights("a\0b"), ArgumentError, r"NUL character"),
        (lambda n: n.parameters(4), ArgumentError, r"has no layer 4; expected 0 to 3"),
    ],
)  # fmt: skip
def test_wrong_calls(
    tiny: Make, call: Callable[[Network], object], kind: type[DarknetError], message: str
) -> None:
    with tiny() as network, pytest.raises(kind, match=message):
        call(network)


def test_out_of_memory_is_an_error_not_a_crash() -> None:
    """Shapes that are possible one by one but need more memory than there is."""
    cfg = "[net]\nwidth=32000\nheight=32000\nchannels=1\n[convolutional]\nfilters=1\nsize=1\n"
    with (
        Network.parse(cfg, batch=1_000_000) as network,
        pytest.raises(MemoryError, match=r"out of memory|memory"),
    ):
        network.profile()


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX")
def test_a_full_disk_leaves_the_old_weights(tiny_files: tuple[Path, Path]) -> None:
    """A limit of 60 bytes a file stands for the full disk; the weights have 120."""
    cfg, weights = tiny_files
    old = weights.read_bytes()
    script = f"""
import resource
from pydarknet import FileError, Network
with Network({str(cfg)!r}, {str(weights)!r}) as network:
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))
    try:
        network.save_weights({str(weights)!r})
    except FileError as error:
        print(error)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "tiny.weights: " in run.stdout
    assert weights.read_bytes() == old
    assert sorted(path.name for path in weights.parent.iterdir()) == ["tiny.cfg", "tiny.weights"]
