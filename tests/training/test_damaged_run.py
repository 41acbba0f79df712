# SPDX-License-Identifier: Apache-2.0
"""Any file of a run folder may be missing, cut short, damaged or unreadable: the run continues, or one clear
error has the way on; a saved state is never trained over."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapes
from shapes import StopAt

from pydarknet import TrainConfig
from pydarknet.errors import DarknetError, DataError, FileError
from pydarknet.runs.state import RunState
from pydarknet.training import checkpoint, resume, train

STATE = "weights/shapes_last.state"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A run of 3 of 20 iterations, with one evaluation; its files are copied, not changed."""
    place = tmp_path_factory.mktemp("made")
    data, cfg = shapes.data_set(place / "ds", 4, 2), shapes.cfg(place, 20, size=32)
    config = TrainConfig(
        cfg, data, out=place / "run", threads=1, workers=1, force=True, plots=False, map_every=2, last_every=1
    )
    train(config, [StopAt(3)])
    return config


@pytest.fixture
def config(made: TrainConfig, tmp_path: Path) -> TrainConfig:
    return replace(made, out=shutil.copytree(made.out or "", tmp_path / "run"))


def iteration(config: TrainConfig) -> int:
    return int(checkpoint.load(Path(config.out or "") / STATE).trainer["iteration"])


def continues(config: TrainConfig) -> list[str]:
    """Notices of a session that continues after iteration 3."""
    told: list[str] = []
    assert train(config, [StopAt(4)], notify=told.append).iteration == 4
    rows = (Path(config.out or "") / "results.csv").read_text().splitlines()
    assert rows[-1].split(",")[1] == "4"
    return told


# -- the state


def test_every_flipped_bit_is_found(config: TrainConfig) -> None:
    """A changed bit anywhere in the state: the checksum, or the reader before it, refuses the file."""
    path = Path(config.out or "") / STATE
    whole, rng = path.read_bytes(), np.random.default_rng(3)
    for place in [*range(0, 200, 8), *rng.integers(0, len(whole), 200)]:
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        with pytest.raises(DataError, match=r"is damaged|is not a training state"):
            checkpoint.load(path)


def test_every_truncated_state_is_found(config: TrainConfig) -> None:
    path = Path(config.out or "") / STATE
    whole = path.read_bytes()
    for size in [*range(16), *range(16, len(whole), len(whole) // 40)]:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"is damaged.*--weights .*shapes_last.weights --out NEW"):
            checkpoint.load(path)
    with pytest.raises(DarknetError, match=r"is damaged.*--weights .*shapes_last.weights --out NEW"):
        train(config)


def test_permissions_of_a_state_are_those_of_other_files(config: TrainConfig) -> None:
    """The umask decides, as for the weights; a group may resume a run."""
    before = os.umask(0o027)
    try:
        train(config, [StopAt(4)])
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((Path(config.out or "") / f"weights/shapes_last.{kind}").stat().st_mode)
             for kind in ("state", "weights")}  # fmt: skip
    assert modes == {0o640}


def test_a_state_that_may_not_be_read(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is that of the system, not damage."""
    real = Path.open

    def refuse(path: Path, *arguments: object, **more: object) -> object:
        if path.name == "shapes_last.state":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FileError, match=r"shapes_last.state: cannot be read: Permission denied"):
        checkpoint.load(Path(config.out or "") / STATE)
    with pytest.raises(FileError, match=r"shapes_last.state: cannot be read: Permission denied"):
        train(config)


def test_a_missing_state_is_not_trained_over(config: TrainConfig) -> None:
    """The weights of a run whose state was deleted are kept."""
    state, weights = (Path(config.out or "") / f"weights/shapes_last.{kind}" for kind in ("state", "weights"))
    state.unlink()
    before = weights.read_bytes()
    with pytest.raises(FileError, match=r"cannot be resumed, and its weights are kept; a new run continues"):
        train(config)
    assert weights.read_bytes() == before
    assert train(replace(config, restart=True), [StopAt(1)]).iteration == 1
    assert (Path(config.out or "").with_name("run.before-1") / "weights/shapes_last.weights").is_file()


# -- the other files


RUN_JSON = {
    "missing": None,
    "empty": "",
    "cut": "{",
    "no settings": "{}",
    "a list": "[]",
    "no sessions": '{"sessions": 3, "config": {}}',
    "a session": '{"sessions": [3], "config": {}}',
    "a size": '{"sessions": [], "config": {"size": 3}}',
    "a text": '{"sessions": [], "config": {"epochs": "x"}}',
    "deep": "[" * 50000,
    "zeros": "\0" * 100,
}


@pytest.mark.parametrize("text", RUN_JSON.values(), ids=list(RUN_JSON))
def test_run_json(config: TrainConfig, text: str | None) -> None:
    """Missing or damaged: the settings are read from the state, and the run continues."""
    path = Path(config.out or "") / "run.json"
    path.unlink() if text is None else path.write_text(text)
    assert any("the settings are read from shapes_last.state" in line for line in continues(config))
    path.unlink()
    assert train(resume(Path(config.out or "")), [StopAt(5)]).iteration == 5


@pytest.mark.parametrize("text", [None, "", "[net]", "[net]\nwidth=99999999999999\n", "\0\0"])
def test_the_copy_of_the_cfg(config: TrainConfig, text: str | None) -> None:
    """Missing or damaged: it is written again from the state."""
    path = Path(config.out or "") / "shapes.cfg"
    whole = path.read_text()
    path.unlink() if text is None else path.write_text(text)
    continues(config)
    assert path.read_text() == whole


def test_any_file(made: TrainConfig, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Each file of the folder in two ways: the run continues, or an error names the file; nothing is lost."""
    source, kinds = Path(made.out or ""), ["empty", "cut", "flipped", "folder", "text"]
    names = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_file())
    assert len(names) > 10
    tried, refused, rng = 0, [], np.random.default_rng(1)
    for number, name in enumerate(names):
        for kind in ("missing", kinds[number % len(kinds)]):
            config = replace(made, out=shutil.copytree(source, tmp_path / f"{number} {kind}"))
            place = Path(config.out or "")
            damage(place / name, kind, rng.random())
            RunState(place).read()
            tried += 1
            before = (place / STATE).read_bytes() if name != STATE else b""
            try:
                continues(config)
            except DarknetError as error:
                refused.append((name, Path(name).name in str(error)))
                assert name == STATE or (place / STATE).read_bytes() == before
            else:
                assert iteration(config) == 4
    assert set(refused) <= {(STATE, True), ("weights/shapes_last.weights", True)}
    figures = f"{tried} tried, {len(refused)} refused by name, 0 continued with a wrong result"
    record_property("tried", f"damaged files of a run folder: {figures}")


def damage(path: Path, kind: str, place: float) -> None:
    whole = path.read_bytes()
    at = int(len(whole) * place)
    if kind in ("missing", "folder"):
        path.unlink()
        if kind == "folder":
            path.mkdir()
    else:
        flipped = whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :] if whole else b""
        path.write_bytes({"empty": b"", "cut": whole[:at], "flipped": flipped, "text": b"\xff\0{["}[kind])
