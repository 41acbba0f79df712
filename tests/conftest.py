# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures: the reference files, the backends of this build, and a very small network."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import pydarknet
from pydarknet import Network
from pydarknet.engine import _core, selftest

# No test depends on the speed of the machine, or on chance unless PYDARKNET_TRIES asks for other examples.
settings.register_profile(
    "pydarknet",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="PYDARKNET_TRIES" not in os.environ,
)
settings.load_profile("pydarknet")

pytest_plugins = ["required", "figures", "browser"]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """A failure ends the limit of its test; the fixtures that end behind it need one, too."""
    faulthandler.dump_traceback_later(600, exit=True, file=sys.__stderr__)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """The end of a session may hang as a test may (faulthandler_timeout in pyproject.toml)."""
    faulthandler.dump_traceback_later(300, exit=True, file=sys.__stderr__)


def pytest_unconfigure() -> None:
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session", autouse=True)
def _away_from_the_sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Child processes import the package under test, not the sources that stand in the working folder."""
    with pytest.MonkeyPatch.context() as patch:
        if folder := os.environ.get("PYDARKNET_FIXTURES"):
            patch.setenv("PYDARKNET_FIXTURES", str(Path(folder).resolve()))
        patch.chdir(tmp_path_factory.mktemp("cwd"))
        patch.setenv("PYTHONPATH", str(Path(pydarknet.__file__).parents[1]), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session", autouse=True)
def _hears_ctrl_c() -> None:
    """Shells start jobs in the background deaf to SIGINT, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """PYDARKNET_LIBRARY is for the tests that ask for it."""
    monkeypatch.delenv("PYDARKNET_LIBRARY", raising=False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference files too large, or not ours, to keep here: env PYDARKNET_FIXTURES, else ../shared."""
    folder = Path(os.environ.get("PYDARKNET_FIXTURES", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("the reference files are not here; set PYDARKNET_FIXTURES")
    return folder


_REDUCED = [
    (one["name"], precision["name"])
    for one in _core.build_info()["backends"]
    if one["available"]
    for precision in one["precisions"]
    if precision["name"] != "fp32"
]


@pytest.fixture(scope="session", params=_core.backend_names())
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend that is available here."""
    return str(request.param)


@pytest.fixture(scope="session", params=[name for name in _core.backend_names() if name != "ref"])
def other_backend(request: pytest.FixtureRequest) -> str:
    """Each available backend but ``ref``, with which it is compared."""
    return str(request.param)


@pytest.fixture(scope="session", params=_REDUCED, ids="-".join)
def reduced(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Each available backend in each of its precisions but ``fp32``."""
    backend, precision = request.param
    return str(backend), str(precision)


@pytest.fixture
def tiny_files(tmp_path: Path) -> tuple[Path, Path]:
    """cfg and weights of the self-test's network: 4 x 4 grey, one class, one anchor."""
    cfg, weights = tmp_path / "tiny.cfg", tmp_path / "tiny.weights"
    cfg.write_text(selftest.CFG)
    floats = np.concatenate(selftest._PARAMETERS).astype("<f4")
    weights.write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + floats.tobytes())
    return cfg, weights


@pytest.fixture
def tiny(tiny_files: tuple[Path, Path]) -> Callable[..., Network]:
    """Makes the self-test's network; in `levels` it finds one object of 0.7304 at (2, 2, 4, 4)."""
    cfg, weights = tiny_files
    return lambda **options: Network(cfg, weights, **{"precision": "fp32", **options})


@pytest.fixture
def levels() -> np.ndarray:
    """The self-test's image, (4, 4) uint8: 0, 17, ..., 255."""
    return np.arange(16, dtype=np.uint8).reshape(4, 4) * 17
