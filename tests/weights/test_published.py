# SPDX-License-Identifier: Apache-2.0
"""Published weights: their sizes, and what a user reads who does not have them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from helpers import run

from pydarknet import FileError, Network, WeightsError
from pydarknet.weights import load
from pydarknet.weights.published import Published, hint, known

#: Bytes of the files as they are published.
PUBLISHED = {
    "yolov4.conv.137": 170038676,
    "yolov4.weights": 257717640,
    "yolov4-tiny.conv.29": 19789716,
    "yolov4-tiny.weights": 24251276,
    "darknet53.conv.74": 162482580,
    "yolov3.weights": 248007048,
    "yolov3-tiny.conv.11": 6303188,
    "yolov3-tiny.weights": 35434956,
    "yolov4-csp.conv.142": 146548116,
    "yolov4-csp.weights": 211944840,
}


def test_sizes_of_published_files() -> None:
    found = known()
    assert {name: found[name].size for name in PUBLISHED} == PUBLISHED


def test_the_page_has_all_of_them() -> None:
    """Names, sizes and addresses on the page are those of the table."""
    page = (Path(__file__).parents[2] / "docs/weights.md").read_text()
    rows = re.findall(r"^\| (?:\[`([\w.-]+)`\]\((\S+)\)|`([\w.-]+)`) \| ([\d,]+) \|", page, re.MULTILINE)
    found = {linked or plain: (url, int(size.replace(",", ""))) for linked, url, plain, size in rows}
    assert found == {file.name: (file.url, file.size) for file in known().values()}


def test_a_missing_published_file(
    tiny_files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = (
        "yolov4-tiny.conv.29 (the first 29 layers of yolov4-tiny, 19789716 bytes) is not part of pydarknet"
    )
    for line in (
        "detect --cfg tiny.cfg --weights yolov4-tiny.conv.29 x.png",
        "bench tiny.cfg yolov4-tiny.conv.29",
        "export onnx tiny.cfg yolov4-tiny.conv.29",
        "weights info yolov4-tiny.conv.29",
        "check tiny.cfg --weights yolov4-tiny.conv.29",
    ):
        assert run(monkeypatch, *line.split()) > 0
        out, err = capsys.readouterr()
        assert expected in out + err, line
    with pytest.raises(FileError, match=re.escape(expected)):
        Network("tiny.cfg", "yolov4-tiny.conv.29")
    assert hint("mine.weights") == ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("yolov4-tiny", "yolov4-tiny.conv.29 or yolov4-tiny.weights"),
        ("there/yolov4-tinny.conv.29", "yolov4-tiny.conv.29"),
        ("yolov4-tiny.weight", "yolov4-tiny.weights"),
    ],
)
def test_a_name_that_is_nearly_that_of_a_published_file(name: str, meant: str) -> None:
    with pytest.raises(WeightsError, match=rf"No such file or directory; did you mean {meant}, see `pydark"):
        load(name)


def test_the_weights_of_a_run_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    """Darknet wrote them to ``backup`` itself."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/my_last.weights").touch()
    meant = re.escape(f"; did you mean {tmp_path / 'weights/my_last.weights'}?")
    with pytest.raises(WeightsError, match=f"No such file or directory{meant}"):
        load(tmp_path / "my_last.weights")


def test_the_remedy_for_missing_weights_is_not_that_for_wrong_ones(
    tiny_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check", tiny_files[0], "--weights", "gone.weights") == 2
    found = capsys.readouterr().out
    assert "Give the path of a file; `pydarknet weights known` lists published ones." in found
    assert "Use weights made for this network." not in found


def publish(monkeypatch: pytest.MonkeyPatch, *files: Published) -> None:
    monkeypatch.setattr("pydarknet.cli._impl.weights_get.known", lambda: {file.name: file for file in files})


def test_get_and_verify(
    tiny_files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Published weights by name, and a file from an address; what is known of them is verified."""
    content = tiny_files[1].read_bytes()
    sha1, sha256 = hashlib.sha1(content).hexdigest(), hashlib.sha256(content).hexdigest()

    def serve(url: str, path: Path, *, size: int | None, digest: tuple[str, str] | None, **_: object) -> None:
        asked.append((url, size, digest))
        path.write_bytes(content)

    asked: list[tuple[str, int | None, tuple[str, str] | None]] = []
    monkeypatch.setattr("pydarknet.cli._impl.weights_get.download", serve)
    monkeypatch.chdir(tmp_path)
    url = "https://example.org/known.weights"
    publish(
        monkeypatch,
        Published("known.weights", "", len(content), url, sha1),
        Published("known.conv.15", "", 5),
        Published("short.weights", "", len(content) - 4, url),
        Published("other.weights", "", len(content), url, "0" * 40),
    )
    assert run(monkeypatch, "weights", "get", "known.weights") == 0
    address = "https://example.org/a%20b.weights?x=1"
    assert run(monkeypatch, "weights", "get", address, "--sha256", sha256) == 0
    assert asked == [(url, len(content), ("sha1", sha1)), (address, None, ("sha256", sha256))]
    assert f"known.weights: {len(content):,} bytes, SHA-256 {sha256}" in capsys.readouterr().out
    for line, message in {
        "get known.weights": "known.weights: exists; check it with `pydarknet weights verify known.weights`",
        "get knwn.weights": "no published weights called knwn.weights; see `pydarknet weights known`. Did",
        "get known.conv.15": "make it: `pydarknet weights partial known.cfg known.weights known.conv.15 15`",
        "get https://example.org": "is not the address of a file",
        "get a b --sha256 00": "--sha256 is for one file",
    }.items():
        assert run(monkeypatch, "weights", *line.split()) > 0
        assert message in capsys.readouterr().err
    assert run(monkeypatch, "weights", "verify", "known.weights") == 0
    assert "right: size and SHA-1" in capsys.readouterr().out
    for name, message in {
        "a b.weights": "is not the name of published weights",
        "short.weights": f"wrong: {len(content)} bytes, expected {len(content) - 4}",
        "other.weights": f"wrong: SHA-1 is {sha1}, expected {'0' * 40}",
        "none.weights": "wrong: none.weights: cannot be read: No such file",
    }.items():
        if name != "none.weights":
            (tmp_path / name).write_bytes(content)
        assert run(monkeypatch, "weights", "verify", "known.weights", name) == 1
        assert message in capsys.readouterr().out


def test_known(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "weights", "known", "--json") == 0
    table = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["size"] for row in table}.items() >= PUBLISHED.items()
    assert all(urlsplit(row["url"]).path.endswith(f"/{row['name']}") for row in table if row["url"])
    assert run(monkeypatch, "weights", "known") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(table)
