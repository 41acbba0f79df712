# SPDX-License-Identifier: Apache-2.0
"""Rules about cfg, schedule and weights: each speaks when it should, and keeps quiet when it should."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pydarknet.cfg import FAMILIES, CfgFile, new, walk
from pydarknet.check import CATALOGUE, DataFacts, Finding, PlannedRun, preflight
from pydarknet.check.data_facts import Split

ROOMY = PlannedRun(memory=2**50)


def found(cfg: CfgFile, rule: str, run: PlannedRun = ROOMY, **more: object) -> list[Finding]:
    """Findings of one rule."""
    return [finding for finding in preflight(cfg, run=run, **more).findings if finding.rule == rule]  # type: ignore[arg-type]


def changed(cfg: CfgFile, *lines: str) -> CfgFile:
    """``net.key=value`` or ``section.key=value`` written into the text; ``key`` alone deletes it."""
    for line in lines:
        name, _, value = line.partition("=")
        section_name, key = name.rsplit(".", 1)
        for section in cfg.sections:
            if section.type == section_name and (key in section or section_name in ("net", "yolo")):
                section.set(key, value) if value else section.remove(key)
    return CfgFile.parse(str(cfg), "net.cfg")


# rule, changes to a good cfg, words that the message must hold
SPEAKS = [
    ("L-00", ["route.layers=99"], "layer 99"),
    ("L-00", ["net.channels=0"], "the input's channels is missing or 0"),
    ("L-00", ["net.batch=many"], "expected an integer"),
    ("L-01", ["net.subdivision=8"], "did you mean 'subdivisions'"),
    ("L-01", ["net.Height=416"], "did you mean 'height'"),
    ("L-01", ["convolutional.activation=leeky"], "leeky"),
    ("L-01", ["net.swa_start=1"], "swa_start is not used by any program"),
    ("L-02", ["net.batch=64", "net.subdivisions=6"], "64 is not divisible by subdivisions 6"),
    ("L-02", ["net.subdivisions=0"], "is not divisible by subdivisions 0"),
    ("L-03", ["net.width=418"], "418 is not a multiple of 32"),
    ("L-03", ["net.height=420"], "420 is not a multiple of 32"),
    ("L-04", ["yolo.classes=3"], "needs 24 = (3 classes + 5) · 3 masks"),
    ("L-06", ["net.burn_in=50"], "burn_in is 50"),
    ("L-06", ["net.burn_in=500"], "with learning_rate"),
    ("L-06", ["net.burn_in=3000", "net.learning_rate=0.0001"], "iteration 4800 already"),
    ("L-07", ["net.steps=4800,6000"], "the steps 6000 are never reached"),
    ("L-07", ["net.steps=5400,4800"], "do not ascend"),
    ("L-07", ["net.steps=4800"], "1 steps, but 2 scales"),
    ("L-07", ["net.steps", "net.scales"], "without steps"),
    ("L-08", ["net.max_batches=5999"], "5999"),
    ("L-09", ["net.steps=2000,3000"], "iteration 3000, 50%"),
    ("L-09", ["net.policy=poly", "net.power=4"], "of the training"),
    ("L-11", ["net.subdivisions=64"], "64/64 = 1 image"),
    ("L-12", ["net.batch=4", "net.subdivisions=1"], "only 4 images"),
    ("L-13", ["net.width=256", "net.height=256"], "344×319"),
    ("L-34", ["net.mosaic=1", "net.letter_box=1"], "letter_box and mosaic"),
    ("L-34", ["net.mosaic=1", "net.cutmix=1"], "uses mosaic only"),
    ("L-34", ["net.mosaic=1", "net.mixup=1"], "mixup ignored"),
    ("L-34", ["net.mosaic=0", "net.cutmix=1"], "trains without it"),
    ("L-34", ["net.mosaic=0", "net.mixup=2"], "trains without it"),
    ("L-34", ["net.mosaic=0", "net.mixup=4"], "uses mosaic only"),
    ("L-34", ["net.contrastive=1", "net.subdivisions=64"], "at least 2"),
    ("L-36", ["net.angle=7"], "[net] angle=7 has no effect: only Darknet uses this key"),
    ("L-36", ["net.max_crop=448"], "max_crop=448 has no effect"),
    ("L-36", ["net.adversarial_lr=0.1"], "adversarial_lr=0.1 is refused"),
    ("L-36", ["yolo.from=-4"], "[yolo] from=-4 (and in 1 more section) is refused: not supported"),
    ("L-36", ["yolo.map=classes.map"], "[yolo] map=classes.map (and in 1 more section) has no effect"),
    ("L-35", ["net.width=1024", "net.height=1024"], "1024 is far from the 416"),
    ("L-00", ["convolutional.filters=1e3"], 'found "1e3", expected a whole number; Darknet reads 1'),
    ("L-00", ["yolo.mask=7,8"], "found anchor 7, expected 0 to 5"),
    ("L-01", ["convolutional.activation=silu"], "'silu'; did you mean 'swish'?"),
    ("L-01", ["convolutional.activation=hard_swish"], "Darknet has no such function"),
    ("L-01", ["convolutional.activation=leaky # always"], "a comment behind it, which Darknet takes as part"),
    ("L-08", ["net.max_batches"], "max_batches is not set"),
    ("L-37", ["net.steps=4800.0,5400"], "steps=4800.0,5400 is read as 4800,5400"),
    ("L-37", ["net.burn_in=1000.5"], "burn_in=1000.5 is read as 1000"),
    ("L-37", ["net.width=416px"], "width=416px is read as 416"),
    ("L-38", ["yolo.num=3"], "num is 3, but mask uses anchor 5, counted from 0"),
    ("L-39", ["net.resize_step=16", "yolo.random=1"], "draws sizes on a grid of 16, the stride is 32"),
    ("L-40", ["yolo.mask=3,4,5"], "no mask uses the anchors 0 (10×14), 1 (23×27), 2 (37×58)"),
    ("L-40", ["yolo.anchors=10,14,23,27,37,58,81,82,81,82,344,319"], "anchor 4 (81×82) equals anchor 3"),
]

# rule, changes that come close without being wrong
QUIET = [
    ("L-00", ["net.width=418"]),
    ("L-01", ["net.letter_box=0", "net.policy=steps"]),
    ("L-02", ["net.batch=60", "net.subdivisions=12"]),
    ("L-03", ["net.width=320", "net.height=608"]),
    ("L-04", ["yolo.classes=3", "net.width=416"]),
    ("L-06", ["net.burn_in=100", "net.learning_rate=0.0005"]),
    ("L-07", ["net.steps=4800,5999"]),
    ("L-07", ["net.policy=constant", "net.steps=9999"]),
    ("L-08", ["net.max_batches=6000"]),
    ("L-09", ["net.steps=2000,4300"]),
    ("L-09", ["net.policy=sgdr"]),
    ("L-11", ["net.subdivisions=32"]),
    ("L-12", ["net.batch=8", "net.subdivisions=1"]),
    ("L-13", ["net.width=320", "net.height=320"]),
    ("L-34", ["net.mosaic=1", "net.mixup=0"]),
    ("L-34", ["net.mosaic=0", "net.mixup=3"]),
    (
        "L-36",
        ["net.angle=0", "net.aspect=1.0", "net.loss_scale=1", "net.optimized_memory=1", "yolo.random=1"],
    ),
    ("L-35", ["net.width=608", "net.height=608"]),
    ("L-01", ["net.burn_in=1000 # iterations"]),
    ("L-37", ["net.momentum=0.9", "net.steps=4800,5400 # then"]),
    ("L-38", ["yolo.num=6"]),
    ("L-39", ["net.resize_step=64", "yolo.random=1"]),
    ("L-39", ["net.resize_step=16", "yolo.random=0"]),
    ("L-40", ["yolo.iou_thresh=0.2", "yolo.anchors=10,14,23,27,37,58,81,82,81,82,344,319"]),
    ("L-40", ["yolo.classes=2"]),
]


@pytest.mark.parametrize(("rule", "lines", "words"), SPEAKS)
def test_speaks(cfg: CfgFile, rule: str, lines: list[str], words: str) -> None:
    broken = changed(cfg, *lines)
    messages = [finding.message for finding in found(broken, rule)]
    assert any(words in message for message in messages), messages


@pytest.mark.parametrize(("rule", "lines"), QUIET)
def test_quiet(cfg: CfgFile, rule: str, lines: list[str]) -> None:
    near = changed(cfg, *lines)
    if rule == "L-04":  # more classes with the filters that they need
        for index, section in enumerate(near.layers):
            if section.type == "yolo":
                near.layers[index - 1].set("filters", 24)
    assert found(near, rule) == []


def test_generated_families_are_clean() -> None:
    """Whatever ``cfg new`` writes passes, but for what the papers themselves combine (mosaic, letter_box)."""
    for name in FAMILIES:
        rules = {finding.rule for finding in preflight(new(name, classes=3), run=ROOMY).findings}
        assert rules <= {"L-34"}, name


def test_published_cfgs_are_possible(shared: Path) -> None:
    for path in sorted((shared / "fixtures/zoo").glob("*.cfg")):
        report = preflight(path, run=ROOMY)
        errors = [f for f in report.errors if f.rule in ("L-00", "L-01", "L-03", "L-04")]
        assert [f for f in errors if "cannot be trained" not in f.message] == [], path.name


def test_finding_names_line_value_and_expectation(cfg: CfgFile) -> None:
    broken = changed(cfg, "net.width=418")
    (finding,) = found(broken, "L-03")
    assert str(broken).splitlines()[finding.line - 1] == "width=418"
    assert (finding.file, finding.value, finding.expected) == ("net.cfg", "418", "416")
    assert finding.severity.value == "error"
    assert finding.hint == "Use the nearest multiple."


@pytest.mark.parametrize(("iterations", "severity"), [(700, "warning"), (599, "error")])
def test_too_short_by_far_is_an_error(cfg: CfgFile, iterations: int, severity: str) -> None:
    (finding,) = found(changed(cfg, f"net.max_batches={iterations}"), "L-08")
    assert finding.severity.value == severity


@pytest.mark.parametrize(("rule", "length"), [("L-08", 500), ("L-10", 1)])
def test_a_length_that_was_asked_for_is_no_error(cfg: CfgFile, rule: str, length: int) -> None:
    """``--epochs 50`` on a small data set is a short training on purpose."""
    short = changed(cfg, f"net.max_batches={length}")
    data = DataFacts("obj.data", train=Split("train.txt", images=500, labelled=500))
    severities = [
        [
            f.severity.value
            for f in found(short, rule, PlannedRun(memory=2**50, length_given=given), data=data)
        ]
        for given in (False, True)
    ]
    assert severities == [["error"], ["warning"]]


def test_the_cause_comes_first_and_alone(cfg: CfgFile) -> None:
    """A misspelt size makes every layer impossible; only the misspelling is reported."""
    errors = preflight(changed(cfg, "net.height", "net.Height=416"), run=ROOMY).errors
    assert [(f.rule, f.message) for f in errors] == [
        ("L-01", "[net] unknown key 'Height'; did you mean 'height'?")
    ]


def test_a_refused_key_of_many_layers_is_one_finding(cfg: CfgFile) -> None:
    for section in cfg.layers:
        if section.type == "convolutional":
            section.set("xnor", 1)
    errors = preflight(CfgFile.parse(str(cfg), "net.cfg"), run=ROOMY).errors
    assert [f.message for f in errors] == [
        "[convolutional] xnor=1 (and in 20 more sections) is refused: not supported"
    ]


def test_lines_that_darknet_skips(cfg: CfgFile) -> None:
    text = str(cfg).replace("[net]\n", "[net]\ndecay=\nburn_in 1000\n", 1)
    messages = [f.message for f in found(CfgFile.parse(text), "L-01")]
    assert "'decay' has no value; Darknet skips the line" in messages
    assert "'burn_in1000' is neither a section, a comment nor key=value; Darknet skips the line" in messages


@pytest.mark.parametrize(("thresh", "expected"), [("1", ["error"]), ("0.2", [])])
def test_objects_whose_anchor_is_in_no_mask(cfg: CfgFile, thresh: str, expected: list[str]) -> None:
    """All boxes are as large as anchor 0 (10×14), which both masks of the published network leave out."""
    train = Split("train.txt", images=1, labelled=1, sizes=[(10.0, 14.0, 416, 416)] * 10)
    findings = found(changed(cfg, f"yolo.iou_thresh={thresh}"), "L-40", data=DataFacts("d", train=train))
    assert [f.severity.value for f in findings] == expected


def test_batch_of_one_is_an_error(cfg: CfgFile) -> None:
    (finding,) = found(changed(cfg, "net.batch=1", "net.subdivisions=1"), "L-12")
    assert finding.severity.value == "error"


def test_keys_twice(cfg: CfgFile) -> None:
    text = str(cfg).replace("[net]\n", "[net]\nmomentum=0.5\n", 1)
    (finding,) = found(CfgFile.parse(text), "L-01")
    assert "momentum is a duplicate" in finding.message
    assert finding.severity.value == "warning"


def test_memory(cfg: CfgFile) -> None:
    """The remedy fits: with the subdivisions that it names, the rule is quiet."""
    cfg = changed(cfg, "net.subdivisions=1")
    for random, words in (("0", "training takes about"), ("1", "1.4 times")):
        (finding,) = found(changed(cfg, f"yolo.random={random}"), "L-14", PlannedRun(memory=2**31))
        assert words in finding.message
        parts = finding.hint.partition("subdivisions=")[2].split()[0]
        fixed = changed(cfg, f"yolo.random={random}", f"net.subdivisions={parts}")
        assert found(fixed, "L-14", PlannedRun(memory=2**31)) == []
    assert found(cfg, "L-14", PlannedRun(memory=2**40)) == []


def test_memory_that_is_too_small_for_any_batch(cfg: CfgFile) -> None:
    (finding,) = found(cfg, "L-14", PlannedRun(memory=2**20))
    assert finding.hint == "Raise subdivisions, lower the size, or set random=0."


def test_time(cfg: CfgFile) -> None:
    """15.37 seconds an iteration and two million of them: the 356 days of a real forecast."""
    long = changed(cfg, "net.max_batches=2000000")
    (note,) = found(long, "L-33", PlannedRun(seconds_per_iteration=15.367, memory=2**50))
    assert "8537" in note.message
    assert note.severity.value == "note"
    (error,) = found(long, "L-33", PlannedRun(seconds_per_iteration=15.367, max_hours=42, memory=2**50))
    assert error.severity.value == "error"
    assert error.expected == "at most 9839"
    assert found(long, "L-33") == []


def test_weights_that_fit(cfg: CfgFile, weights_file: Callable[..., Path]) -> None:
    nodes = walk(cfg)
    for floats in (nodes.floats, 4_947_424):
        path = weights_file(floats)
        assert found(cfg, "L-15", weights=path) == []
        assert found(cfg, "L-16", weights=path) == []


def test_weights_of_other_class_count(cfg: CfgFile, weights_file: Callable[..., Path]) -> None:
    """The 80 classes of the published file are read off its size."""
    (finding,) = found(cfg, "L-15", weights=weights_file(6_062_814))
    assert "this network with 80 classes, the cfg has 2" in finding.message


def test_weights_of_fewer_classes(weights_file: Callable[..., Path]) -> None:
    """A file for 10 classes ends inside the first head of a cfg for 80."""
    path = weights_file(walk(new("yolov4-tiny", 10)).floats)
    (finding,) = found(new("yolov4-tiny", 80), "L-15", weights=path)
    assert "this network with 10 classes, the cfg has 80" in finding.message


def test_weights_cut_inside_a_value(cfg: CfgFile, weights_file: Callable[..., Path]) -> None:
    (finding,) = found(cfg, "L-15", weights=weights_file(4_947_424, extra=3))
    assert "ends inside a value" in finding.message


def test_weights_missing(cfg: CfgFile, tmp_path: Path) -> None:
    (finding,) = found(cfg, "L-15", weights=tmp_path / "no.weights")
    assert "cannot read the weights" in finding.message


def test_same_size_twin_is_noted(weights_file: Callable[..., Path]) -> None:
    swish = CfgFile.parse(str(new("yolov4-csp", classes=80)).replace("activation=mish", "activation=swish"))
    (finding,) = found(swish, "L-15", weights=weights_file(36_637_024))
    assert finding.severity.value == "note"
    assert "yolov4-csp" in finding.message
    assert found(new("yolov4-csp"), "L-15", weights=weights_file(36_637_024)) == []


def test_damaged_weights(cfg: CfgFile, weights_file: Callable[..., Path]) -> None:
    """Layer 0 is 32 biases, scales, means, variances and 864 weights."""
    import numpy as np

    path = weights_file(walk(cfg).floats)
    for place, value, words in (
        (100, -0.5, "layer 0 [convolutional] rolling_variance: 1 of 32 variances are negative"),
        (130, np.nan, "layer 0 [convolutional] weights: 1 of 864 values are nan"),
        (130, 1e6, "are not those of a trained network"),
    ):
        values = np.memmap(path, "<f4", "r+", 20)
        good = float(values[place])
        values[place] = value
        values.flush()
        (finding,) = found(cfg, "L-16", weights=path)
        assert words in finding.message
        values[place] = good
        values.flush()
    assert found(cfg, "L-16", weights=path) == []


def test_weights_trained_to_the_end(cfg: CfgFile, weights_file: Callable[..., Path]) -> None:
    done, floats = 6000 * 64, walk(cfg).floats
    (finding,) = found(cfg, "L-17", weights=weights_file(floats, done))
    assert "at iteration 6000" in finding.message
    assert found(cfg, "L-17", weights=weights_file(floats, done - 64)) == []
    assert found(cfg, "L-17", PlannedRun(clear=True, memory=2**50), weights=weights_file(floats, done)) == []


def test_run_folder(cfg: CfgFile, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    (finding,) = found(cfg, "L-18", PlannedRun(folder=file))
    assert "is a file" in finding.message
    assert found(cfg, "L-18", PlannedRun(folder=tmp_path / "runs" / "new")) == []


def test_too_little_space(cfg: CfgFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    (finding,) = found(cfg, "L-18", PlannedRun(folder=tmp_path))
    assert "1 MiB are free" in finding.message


def test_folder_that_cannot_be_written(cfg: CfgFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(os, "access", lambda *_: False)  # chmod means nothing to root
    (finding,) = found(cfg, "L-18", PlannedRun(folder=tmp_path / "run"))
    assert "is not writable" in finding.message


def test_catalogue_is_whole() -> None:
    """Every rule of the catalogue has an id, a docstring and a remedy; L-00 … L-40 are all there."""
    assert set(CATALOGUE) == {f"L-{number:02}" for number in range(41)}
    for rule in CATALOGUE.values():
        assert rule.why.endswith("."), rule.id
        assert rule.remedy.endswith((".", "…")), rule.id
