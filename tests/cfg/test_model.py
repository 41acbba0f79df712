# SPDX-License-Identifier: Apache-2.0
"""CfgFile keeps files as they are and reads them as Darknet does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydarknet.cfg import CfgFile, parse
from pydarknet.errors import CfgError, FileError

TEXT = "\ufeff# a net\r\n[net]\r\nwidth = 416 \r\n\r\n; note\r\n[conv]\r\nfilters=32\r\nfilters=64\r\nsize"


@given(st.text(alphabet="[]=#; \t\r\nab1,.\ufeffé"))
def test_every_text_survives_the_round_trip(text: str) -> None:
    assert str(parse(text)) == text


def test_every_reference_cfg_survives_the_round_trip(shared: Path, tmp_path: Path) -> None:
    for path in sorted(shared.glob("fixtures/**/*.cfg")):
        copy = tmp_path / "copy.cfg"
        parse(path).save(copy)
        assert copy.read_bytes() == path.read_bytes(), path


def test_bytes_that_are_not_utf8_survive(tmp_path: Path) -> None:
    source = b"[net]\nwidth=32 \n# caf\xe9 \xff\n"
    path = tmp_path / "latin.cfg"
    path.write_bytes(source)
    cfg = CfgFile.load(path)
    cfg.save()
    assert path.read_bytes() == source


def test_reading_follows_darknet() -> None:
    cfg = parse(TEXT)
    conv = cfg.layers[0]
    assert (cfg.net.integer("width"), conv.type, conv.name, conv.line) == (416, "convolutional", "conv", 6)
    assert conv.integer("filters") == 32, "the first of two equal keys wins"
    assert conv.text("activation") == "logistic", "absent keys have Darknet's default"
    assert [(option.key, option.line) for option in conv.options] == [("filters", 7), ("filters", 8)]


@pytest.mark.parametrize(
    ("text", "value"),
    [("3#rgb", 3), ("1.9", 1), ("1e3", 1), (" 1 2 ", 12), ("-4", -4)],
)
def test_integers_are_read_like_atoi(text: str, value: int) -> None:
    assert parse(f"[net]\nchannels={text}").net.integer("channels") == value


def test_lists_stop_at_a_comment() -> None:
    net = parse("[net]\nsteps= 100, 200 # then\nscales=.1,1e-1").net
    assert net.integers("steps") == [100, 200]
    assert net.numbers("scales") == [0.1, 0.1]


def test_a_comment_behind_a_header_or_value_is_no_part_of_it() -> None:
    cfg = parse("[net]\nwidth = 32 # pixels\n[conv] # first\nactivation=leaky;the usual\n")
    assert (cfg.problems, cfg.layers[0].type, cfg.layers[0].get("activation")) == (
        [],
        "convolutional",
        "leaky",
    )
    cfg.net.set("width", 64)
    cfg.layers[0].set("activation", "mish")
    assert str(cfg) == "[net]\nwidth = 64 # pixels\n[conv] # first\nactivation=mish;the usual\n"


@pytest.mark.parametrize(
    "data",
    [
        b"[net]\rwidth=8\r[conv]\rfilters=4\r",
        "[net]\nwidth=8\n[conv]\nfilters=4\n".encode("utf-16"),
        "[net]\nwidth=8\n[conv]\nfilters=4\n".encode("utf-16-le"),
        b"\xfe\xff" + "[net]\nwidth=8\n[conv]\nfilters=4\n".encode("utf-16-be"),
    ],
)
def test_old_encodings_are_read(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "old.cfg"
    path.write_bytes(data)
    cfg = CfgFile.load(path)
    assert (cfg.net.integer("width"), cfg.layers[0].integer("filters")) == (8, 4)
    cfg.save()
    assert path.read_bytes() == b"[net]\nwidth=8\n[conv]\nfilters=4\n"


def test_editing_changes_nothing_else() -> None:
    cfg = parse(TEXT)
    cfg.net.set("width", 608)
    cfg.net.set("height", 320)
    cfg.layers[0].remove("filters")
    assert str(cfg) == ("\ufeff# a net\r\n[net]\r\nwidth = 608\r\nheight=320\r\n\r\n; note\r\n[conv]\r\nsize")


def test_a_key_is_added_to_a_file_without_final_newline() -> None:
    cfg = parse("[net]\nwidth=32")
    cfg.net.set("scales", [0.1, 0.25, 1])
    cfg.add("yolo", "a head", classes=3, anchors=[10, 14.5])
    assert str(cfg) == "[net]\nwidth=32\nscales=0.1,0.25,1\n\n# a head\n[yolo]\nclasses=3\nanchors=10,14.5\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width=3\n[net]\n", "<cfg>:1: option before the first section"),
        ("[net]\nwidth=\n", "<cfg>:2: 'width' has no value"),
        ("[net]\nwidth 416\n", "<cfg>:2: 'width416' is neither a section, a comment nor key=value"),
        ("[net]\n[convolutional\n", "<cfg>:2: section header '[convolutional' does not end"),
        ("[net]\n=3\n", "<cfg>:2: '=3' has no key"),
        ("# nothing\n", "<cfg>: no section found"),
        ("[convolutional]\n", "<cfg>:1: first section is [convolutional], expected [net]"),
    ],
)
def test_malformed_text_is_reported_with_its_line(text: str, message: str) -> None:
    cfg = parse(text)
    problems = [str(problem) for problem in [*cfg.problems, *cfg.idle]]
    assert any(problem.startswith(message) for problem in problems), problems


def test_wrong_values_name_file_line_section_and_key() -> None:
    with pytest.raises(CfgError, match=r"my.cfg:3 \[net\] width: found 'wide', expected an integer"):
        parse("[net]\n\nwidth=wide", "my.cfg").net.integer("width")
    with pytest.raises(CfgError, match=r"my.cfg:2 \[net\] steps: found 'x' in a list"):
        parse("[net]\nsteps=1,x", "my.cfg").net.integers("steps")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none.cfg: cannot read the cfg file: No such file"):
        parse(tmp_path / "none.cfg")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.cfg"
    path.write_text("[net]\n")
    cfg = CfgFile.load(path)
    cfg.net.set("width", 32)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FileError, match=r"net\.cfg: cannot be written: No space left"):
        cfg.save()
    assert path.read_text() == "[net]\n"
    assert list(tmp_path.iterdir()) == [path]
