# SPDX-License-Identifier: Apache-2.0
"""Every family is the published network; what is generated has the right numbers."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from pydarknet import cfg
from pydarknet.cfg import FAMILIES, new, parse, walk
from pydarknet.cfg.diff import diff
from pydarknet.cfg.generate import AUGMENT, split_masks
from pydarknet.errors import CfgError

# name: input size, layers, mix of layers, floats in the weights file, Darknet's BFLOPs, anchors
PUBLISHED = {
    "yolov4": (608, 162, "conv110 max3 route21 short23 up2 yolo3", 64_429_405, 128.459, 9),
    "yolov4-tiny": (416, 38, "conv21 max3 route11 up1 yolo2", 6_062_814, 6.910, 6),
    "yolov4-tiny-3l": (608, 45, "conv24 max3 route13 up2 yolo3", 6_334_045, 17.741, 9),
    "yolov4-csp": (512, 175, "conv115 max3 route29 short23 up2 yolo3", 52_986_205, 77.003, 9),
    "yolov4x-mish": (640, 203, "conv137 max3 route29 short29 up2 yolo3", 99_847_037, 221.986, 9),
    "yolov4-p5": (896, 244, "conv163 max3 route32 short41 up2 yolo3", 70_917_468, 326.809, 12),
    "yolov4-p6": (1280, 305, "conv205 max3 route42 short48 up3 yolo4", 127_717_040, 717.190, 16),
    "yolov3": (416, 107, "conv75 route4 short23 up2 yolo3", 62_001_757, 65.879, 9),
    "yolov3-spp": (608, 114, "conv76 max3 route7 short23 up2 yolo3", 63_052_381, 141.531, 9),
    "yolov3-tiny": (416, 24, "conv13 max6 route2 up1 yolo2", 8_858_734, 5.571, 6),
    "yolov7-tiny": (416, 99, "conv58 max6 route30 up2 yolo3", 6_241_885, 5.802, 9),
    "yolov7": (640, 143, "conv92 max8 route38 up2 yolo3", 36_974_557, 104.580, 9),
}
SHORT = {"conv": "convolutional", "max": "maxpool", "short": "shortcut", "up": "upsample"}


def test_the_table_names_every_family() -> None:
    assert set(PUBLISHED) == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_family_is_the_published_network(name: str) -> None:
    size, layers, mix, floats, bflops, anchors = PUBLISHED[name]
    made = new(name)
    nodes = walk(made)
    expected = {SHORT.get(kind, kind): int(count) for kind, count in re.findall(r"([a-z]+)(\d+)", mix)}
    assert nodes[0].src == (size, size, 3)
    assert len(nodes) == layers
    assert Counter(node.type for node in nodes) == expected
    assert nodes.floats == floats
    assert nodes.bflops == pytest.approx(bflops, abs=0.00051)
    assert nodes.stride == FAMILIES[name].stride
    for head, stride in zip(made.heads, FAMILIES[name].head_strides, strict=True):
        assert head.integer("num") == anchors
        assert size // nodes[made.layers.index(head)].dst[0] == stride


REFERENCE = (
    "yolov4",
    "yolov4-tiny",
    "yolov4-tiny-3l",
    "yolov4-csp",
    "yolov3-spp",
    "yolov3-tiny",
    "yolov7-tiny",
)


@pytest.mark.parametrize("name", REFERENCE)
def test_family_equals_the_reference_file(shared: Path, name: str) -> None:
    path = shared / "fixtures" / "zoo" / f"{name}.cfg"
    own = {"batch", "subdivisions", "width", "height", "max_batches", "steps"}
    if new(name).net.integer("letter_box"):
        own.add("mosaic")  # Darknet refuses to train with both
    changes = [c for c in diff(parse(path), new(name)) if c.layer >= 0 or c.key not in own]
    assert [str(change) for change in changes] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_the_pretrained_cut_lies_on_the_backbone(name: str) -> None:
    """The layers taken from a pre-trained file do not depend on the number of classes."""
    pretrained = FAMILIES[name].pretrained
    assert pretrained is not None
    file, cut = pretrained
    assert file.endswith(f".{cut}")
    few, many = (walk(new(name, classes))[:cut] for classes in (1, 80))
    assert [node.arrays for node in few] == [node.arrays for node in many]


# floats of the public pre-trained files, read off their sizes
@pytest.mark.parametrize(
    ("name", "floats"),
    [
        ("yolov4", 42_509_664),
        ("yolov4-tiny", 4_947_424),
        ("yolov3", 40_620_640),
        ("yolov3-tiny", 1_575_792),
        ("yolov4-csp", 36_637_024),
    ],
)
def test_the_pretrained_cut_has_the_floats_of_the_public_file(name: str, floats: int) -> None:
    assert sum(node.floats for node in walk(new(name))[: FAMILIES[name].pretrained[1]]) == floats


@pytest.mark.parametrize(
    ("classes", "filters", "iterations", "steps"),
    [
        (1000, 3015, 2_000_000, [1_600_000, 1_800_000]),
        (10, 45, 20_000, [16_000, 18_000]),
        (1, 18, 6000, [4800, 5400]),
    ],
)
def test_numbers_follow_from_the_classes(
    classes: int, filters: int, iterations: int, steps: list[int]
) -> None:
    made = cfg.yolov4(classes=classes, size=416)
    before_heads = [made.layers[made.layers.index(head) - 1] for head in made.heads]
    assert [section.integer("filters") for section in before_heads] == [filters] * 3
    assert [head.integer("classes") for head in made.heads] == [classes] * 3
    assert made.net.integer("max_batches") == iterations
    assert made.net.integers("steps") == steps
    assert made.net.numbers("scales") == [0.1, 0.1]


def test_one_import_is_enough() -> None:
    """``import pydarknet`` gives access to the families, in a fresh interpreter."""
    code = "import pydarknet; print(pydarknet.cfg.yolov4(classes=3, size=416))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(cfg.yolov4(classes=3, size=416)).strip()


def test_many_images_lengthen_the_training() -> None:
    assert new("yolov4-tiny", 3, images=54_321).net.integer("max_batches") == 54_321


def test_the_learning_rate_follows_the_batch() -> None:
    assert new("yolov4-tiny", 3, batch=16).net.number("learning_rate") == pytest.approx(0.00261 / 4)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("classes", [1, 20])
def test_every_family_is_possible_at_other_sizes(name: str, classes: int) -> None:
    size = 2 * FAMILIES[name].stride
    nodes = walk(new(name, classes, (3 * size, size)))
    assert nodes[0].src == (3 * size, size, 3)


def test_parameters_grow_with_the_classes_as_published() -> None:
    for classes in (1, 3, 10, 601):
        count = {name: walk(new(name, classes)).floats for name in FAMILIES}
        assert count["yolov4"] == 63_971_680 + 5385 * (classes + 5)
        assert count["yolov4-tiny"] == 5_866_464 + 2310 * (classes + 5)
        assert count["yolov4-tiny-3l"] == 6_104_800 + 2697 * (classes + 5)
        assert count["yolov3"] == 61_544_032 + 5385 * (classes + 5)
        assert count["yolov3-tiny"] == 8_662_384 + 2310 * (classes + 5)


def test_own_anchors_are_dealt_out_by_stride() -> None:
    pairs = [(9, 19), (17, 45), (26, 84), (38, 132), (48, 188), (62, 256)]
    made = new("yolov4-tiny", 2, anchors=pairs)
    coarse, fine = made.heads
    assert coarse.numbers("anchors") == fine.numbers("anchors") == [side for pair in pairs for side in pair]
    assert (coarse.integers("mask"), fine.integers("mask")) == ([3, 4, 5], [0, 1, 2])
    assert made.layers[29].integer("filters") == 21
    assert split_masks(12, (8, 16, 32)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_augmentation_presets_set_the_documented_keys() -> None:
    for level, sections in AUGMENT.items():
        made = new("yolov4", 3, augment=level)
        for section, values in sections.items():
            for found in [made.net] if section == "net" else made.heads:
                assert {key: found.number(key) for key in values} == values, level


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("augment", [None, *AUGMENT])
def test_no_family_has_settings_that_darknet_refuses(name: str, augment: str | None) -> None:
    net = new(name, 3, augment=augment).net
    assert not (net.integer("mosaic") and net.integer("letter_box"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "yolov4-tny"}, "no model is called 'yolov4-tny'. Did you mean 'yolov4-tiny'"),
        ({"model": "yolov4", "size": 418}, "width 418 is not a multiple of 32; take 416 or 448"),
        ({"model": "yolov4-p6", "size": (640, 608)}, "height 608 is not a multiple of 64; take 576 or 640"),
        ({"model": "yolov4", "size": 8}, "width 8 is not a multiple of 32; take 32"),
        ({"model": "yolov4", "classes": 0}, "classes is 0, expected at least 1"),
        ({"model": "yolov4", "batch": 10}, "batch 10 is not divisible by subdivisions 8"),
        ({"model": "yolov4", "anchors": [(1, 1)] * 4}, "4 anchors cannot be divided among 3 heads"),
        ({"model": "yolov4", "augment": "max"}, "augment is 'max', expected one of none, low, med, high"),
        ({"model": "yolov4", "settings": {"momentm": 1}}, "has no key 'momentm'; did you mean 'momentum'"),
        ({"model": "yolov4", "settings": {"gru.output": 1}}, r"the network has no \[gru\]"),
    ],
)
def test_impossible_requests_say_what_to_do(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(CfgError, match=message):
        new(**arguments)  # type: ignore[arg-type]


def test_settings_reach_every_section_of_that_type() -> None:
    made = new("yolov4-tiny", settings={"momentum": 0.5, "yolo.ignore_thresh": 0.6})
    assert made.net.number("momentum") == 0.5
    assert [head.number("ignore_thresh") for head in made.heads] == [0.6, 0.6]


def _generator() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shipped_files_are_up_to_date() -> None:
    assert _generator().outdated() == [], "run python tools/generate.py"
