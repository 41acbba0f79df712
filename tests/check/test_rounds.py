# SPDX-License-Identifier: Apache-2.0
"""Seven trainings that a real project ran, five of which failed: what would have been said before each.

The cfg settings are those that the project published; its data (544 546 labelled images of 1000 classes,
about 12 000 images of ten classes in the last round) are given as counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pydarknet.cfg import CfgFile, new, walk
from pydarknet.check import DataFacts, Inputs, PlannedRun, inspect
from pydarknet.check.data_facts import Folder, Split
from pydarknet.weights import load

WRONG_WEIGHTS = 40_620_640  # darknet53.conv.74, of YOLOv3
BACKBONE = 42_509_664  # yolov4.conv.137
ROOMY = PlannedRun(memory=2**50)

# round: batch, subdivisions, size, rate, burn-in, max_batches, steps, scales
ROUNDS = {
    1: (64, 64, 256, 0.0013, 1000, 10_000, [400_000, 450_000], [0.1, 0.1]),
    2: (128, 128, 416, 0.0013, 500, 10_000, [600, 2000], [0.1, 0.1]),
    3: (64, 64, 416, 0.00007, 150, 2000, [300, 400, 600], [0.1, 0.1, 0.1]),
    4: (64, 64, 416, 0.0013, 150, 2000, [400, 600, 800, 1000], [0.5, 0.5, 0.1, 0.1]),
    5: (64, 64, 416, 0.0013, 900, 6000, [4800, 5400], [0.1, 0.1]),
    7: (64, 64, 416, 0.0013, 1000, 20_000, [16_000, 18_000], [0.1, 0.1]),
}

EXPECTED = {
    1: {
        *("L-07 error", "L-08 error", "L-10 warning", "L-11 warning", "L-13 warning", "L-15 error"),
        *("L-19 warning", "L-20 error", "L-21 error", "L-22 warning"),
    },
    2: {
        *("L-06 warning", "L-08 error", "L-09 warning", "L-10 warning", "L-11 warning", "L-15 error"),
        *("L-19 warning", "L-22 warning"),
    },
    3: {
        *("L-06 warning", "L-08 error", "L-09 warning", "L-10 error", "L-11 warning", "L-15 error"),
        *("L-19 warning", "L-22 warning"),
    },
    4: {
        *("L-06 warning", "L-08 error", "L-09 warning", "L-10 error", "L-11 warning", "L-15 error"),
        *("L-19 warning", "L-22 warning"),
    },
    5: {
        *("L-06 warning", "L-08 error", "L-10 error", "L-11 warning", "L-15 error", "L-22 warning"),
    },
    7: {"L-11 warning", "L-27 note"},
}


def cfg_of(number: int) -> CfgFile:
    batch, subdivisions, size, rate, burn_in, end, steps, scales = ROUNDS[number]
    return new(
        "yolov4",
        classes=10 if number == 7 else 1000,
        size=size,
        batch=batch,
        subdivisions=subdivisions,
        max_batches=end,
        settings={"learning_rate": rate, "burn_in": burn_in, "steps": steps, "scales": scales},
    )


def data_of(number: int) -> DataFacts:
    classes, images = (10, 12_000) if number == 7 else (1000, 544_546)
    names = tuple(f"synset {i}" for i in range(classes))
    train = Split("train.txt", images=images, labelled=images)
    per_class = images // classes
    if number == 1:  # labels lay in a folder that is not looked into
        train.labelled = 0
        train.misplaced = [(Path("train/n1/a.JPEG"), Path("labels/n1/a.txt"))]
    else:
        train.images_per_class = Counter(dict.fromkeys(range(classes), per_class))
        train.boxes_per_class = Counter(dict.fromkeys(range(classes), per_class + 50))
        train.sizes = [(210.0, 270.0, 500, 375)] * 10
        train.sources = [("a.txt", 1)] * 10
    empty = 0 if number == 7 else 500  # images without annotation were used as images without objects
    for i in range(classes):
        owned = set() if number == 1 else {i}
        train.folders[Path(names[i])] = Folder(owned, per_class, empty, "a.JPEG" if empty else "")
    val = Split("val.txt", images=50_000, labelled=50_000) if number >= 5 else None
    options = {"classes": (str(classes), 1)}
    return DataFacts("obj.data", options, [], names, "obj.names", train, val)


@pytest.mark.parametrize("number", ROUNDS)
def test_round(number: int, weights_file: Callable[..., Path]) -> None:
    weights = load(weights_file(BACKBONE if number == 7 else WRONG_WEIGHTS))
    report = inspect(Inputs(cfg_of(number), data_of(number), weights, ROOMY))
    findings = {f"{finding.rule} {finding.severity.value}" for finding in report.findings}
    assert findings == EXPECTED[number]
    assert report.exit_code == (1 if number == 7 else 2)


def test_round_6_found_the_wrong_weights(weights_file: Callable[..., Path]) -> None:
    """The interlude: nothing but the pair of cfg and weights was looked at."""
    report = inspect(
        Inputs(new("yolov4", classes=10, size=416), None, load(weights_file(WRONG_WEIGHTS)), ROOMY)
    )
    (finding,) = report.findings
    assert finding.rule == "L-15"
    assert "ends inside layer 125, after 15.5% of its values" in finding.message
    assert "first 74 layers of yolov3" in finding.message


def test_round_2_as_its_text_has_it(weights_file: Callable[..., Path]) -> None:
    """418 pixels, no multiple of 32: one more finding, and no others that follow from it."""
    cfg = cfg_of(2)
    cfg.net.set("width", 418)
    cfg.net.set("height", 418)
    report = inspect(Inputs(cfg, data_of(2), load(weights_file(WRONG_WEIGHTS)), ROOMY))
    findings = {f"{finding.rule} {finding.severity.value}" for finding in report.findings}
    assert findings == EXPECTED[2] | {"L-03 error"}


def test_table_of_keys_of_the_project() -> None:
    """Its own table spells two keys in a way that Darknet does not know."""
    text = str(new("yolov4", classes=10, size=416))
    text = text.replace("subdivisions=", "subdivision=", 1).replace("height=", "Height=", 1)
    report = inspect(Inputs(CfgFile.parse(text, "table.cfg"), run=ROOMY))
    messages = {finding.message for finding in report.findings if finding.rule == "L-01"}
    assert messages == {
        "[net] unknown key 'subdivision'; did you mean 'subdivisions'?",
        "[net] unknown key 'Height'; did you mean 'height'?",
    }


FILES = {
    "yolov4.conv.137": 42_509_664,
    "yolov4.weights": 64_429_405,
    "yolov4-tiny.conv.29": 4_947_424,
    "yolov4-tiny.weights": 6_062_814,
    "darknet53.conv.74": 40_620_640,
    "yolov3.weights": 62_001_757,
    "yolov3-tiny.conv.11": 1_575_792,
    "yolov3-tiny.weights": 8_858_734,
    "yolov4-csp.conv.142": 36_637_024,
    "yolov4-csp.weights": 52_986_205,
    "csresnext50-panet-spp.conv.112": 35_077_824,
}
FITS = {
    "yolov4": {"yolov4.conv.137", "yolov4.weights"},
    "yolov4-tiny": {"yolov4-tiny.conv.29", "yolov4-tiny.weights"},
    "yolov4-tiny-3l": {"yolov4-tiny.conv.29", "yolov4-tiny.weights"},
    "yolov3": {"darknet53.conv.74", "yolov3.weights"},
    "yolov3-spp": {"darknet53.conv.74"},
    "yolov3-tiny": {"yolov3-tiny.conv.11", "yolov3-tiny.weights"},
    "yolov4-csp": {"yolov4-csp.conv.142", "yolov4-csp.weights"},
    "yolov4x-mish": set(),
    "csresnext50-panet-spp": {"csresnext50-panet-spp.conv.112"},
}


@pytest.mark.parametrize("model", FITS)
def test_pairs_of_cfg_and_weights(model: str, shared: Path, tmp_path: Path) -> None:
    """Each right pair passes and each wrong one is refused, with files of the published sizes."""
    path = shared / "fixtures/zoo" / f"{model}.cfg"
    cfg = CfgFile.load(path) if path.is_file() else new(model, classes=80)
    for name, floats in FILES.items():
        file = tmp_path / name
        file.write_bytes(bytes([0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0]) + bytes(8))
        with file.open("r+b") as handle:
            handle.truncate(20 + 4 * floats)
        report = inspect(Inputs(cfg, None, load(file), ROOMY))
        refused = any(f.rule == "L-15" and f.severity.value == "error" for f in report.findings)
        assert refused == (name not in FITS[model]), name


@pytest.mark.parametrize(
    ("weights", "model", "words"),
    [
        ("darknet53.conv.74", "yolov4", "ends inside layer 125, after 15.5% of its values"),
        ("yolov4.conv.137", "yolov3", "ends inside layer 76, after 28.9% of its values"),
        ("yolov4.weights", "yolov3", "has 2427648 values more than the network"),
    ],
)
def test_where_wrong_pairs_break(weights: str, model: str, words: str) -> None:
    """The places were found by walking the published cfgs by hand."""
    from pydarknet.weights import fit

    assert str(fit(FILES[weights], walk(new(model)))) == words


@pytest.mark.parametrize(
    ("model", "fixed", "slope"),
    [
        ("yolov4", 63_971_680, 5385),
        ("yolov4-tiny", 5_866_464, 2310),
        ("yolov4-tiny-3l", 6_104_800, 2697),
        ("yolov3", 61_544_032, 5385),
        ("yolov3-tiny", 8_662_384, 2310),
    ],
)
def test_class_count_from_size(model: str, fixed: int, slope: int) -> None:
    from pydarknet.weights import guess

    for classes in (1, 2, 20, 80, 1000):
        matches = guess(fixed + slope * (classes + 5))
        assert (model, classes) in {(match.model, match.classes) for match in matches if match.complete}
