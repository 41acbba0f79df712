# SPDX-License-Identifier: Apache-2.0
"""Failures of commands: a line and an exit code; a defect leaves a report."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import run

import pydarknet.cli
from pydarknet import DataError

COMMAND = [sys.executable, "-m", "pydarknet"]


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def command(**_: object) -> None:
        raise error

    monkeypatch.setattr(pydarknet.cli, "cli", command)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("a.txt: is wrong"), "error: a.txt: is wrong"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.cfg"), "error: a.cfg: No such file"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", b"a\xff"), "error: a\\udcff: Is a directory"),
        (MemoryError(), "error: out of memory; use a smaller size"),
        (RecursionError("maximum recursion depth exceeded"), "error: a file is nested too deeply"),
        (OverflowError("int too big"), "error: a number in the input is too large: int too big"),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "no"), "error: text has a character that cannot be"),
        (
            ModuleNotFoundError("no", name="msgspec"),
            "error: the Python package msgspec is not installed; run: ",
        ),
        (ModuleNotFoundError("no", name="cv2.x"), "error: the Python package opencv-python-headless is not"),
        (ImportError("libx.so: cannot open"), "error: a library cannot be loaded: libx.so: cannot open"),
    ],
)
def test_an_expected_failure_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, line: str
) -> None:
    failing(monkeypatch, error)
    assert run(monkeypatch, "info") == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(line)


@pytest.mark.parametrize("package", ["cv2", "msgspec", "tqdm"])
def test_a_package_that_is_not_installed(package: str, tmp_path: Path) -> None:
    (tmp_path / "a.zip").touch()
    block = f"import sys; sys.modules[{package!r}] = None; sys.argv = ['pydarknet', 'data', 'view', '.']"
    done = subprocess.run(
        [sys.executable, "-c", f"{block}; from pydarknet.cli import main; main()"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_defect_leaves_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(monkeypatch, KeyError("size"))
    assert run(monkeypatch, "info") == 70
    (report,) = tmp_path.iterdir()
    message = (
        f"error: KeyError: 'size': this is a defect of pydarknet; please report it with the file {report}\n"
    )
    assert capsys.readouterr().err == message
    text = report.read_text()
    assert "Traceback" in text
    assert "['pydarknet', 'info']" in text


def test_a_defect_without_a_place_for_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    failing(monkeypatch, KeyError("size"))
    assert run(monkeypatch, "info") == 70
    assert "Traceback" in capsys.readouterr().err


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    assert run(monkeypatch, "info") == 130


@pytest.mark.parametrize("module", ["pydarknet", "pydarknet.cli.train", "pydarknet.compat"])
def test_every_entry_fails_with_a_line(module: str) -> None:
    arguments = {
        "pydarknet": ["train", "--resume", "missing"],
        "pydarknet.cli.train": ["--resume", "missing"],
        "pydarknet.compat": ["missing.py"],
    }[module]
    start = ["-c", f"from {module} import main; main()"] if module.endswith("train") else ["-m", module]
    done = subprocess.run([sys.executable, *start, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "missing" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_name_of_the_program() -> None:
    for option in ("--version", "-V"):
        done = subprocess.run([*COMMAND, option], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("pydarknet, version ")


def test_verbose_adds_the_traceback() -> None:
    words = [*COMMAND, "-v", "log", "advise", "missing"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "\nerror: missing: cannot read the log" in done.stderr


def test_shell_completion() -> None:
    asked = {
        "_PYDARKNET_COMPLETE": "bash_complete",
        "COMP_WORDS": "pydarknet detect --line-w",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=True, env={**os.environ, **asked})
    assert done.stdout == "plain,--line-width\n"


@pytest.mark.parametrize("arguments", [["info"], ["--help"]])
def test_a_full_disk_behind_stdout(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "error: stdout: No space left on device\n")


def test_a_closed_pipe_is_silent() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "info"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_closed_streams() -> None:
    for redirection in (">&-", "2>&-", ">&- 2>&-", "2>/dev/full"):
        for arguments, code in (("info missing.cfg", 1), ("info --unknown", 2)):
            shell = f"{sys.executable} -m pydarknet {arguments} {redirection}"
            assert subprocess.run(["sh", "-c", shell], capture_output=True, check=False).returncode == code
