# SPDX-License-Identifier: Apache-2.0
"""Generate the C source of pydarknet.engine._ffi from the marked part of darknet.h.

usage: generate_ffi.py darknet.h OUT.c
"""

import re
import sys
from pathlib import Path

import cffi


def declarations(header: str) -> str:
    """The text between the [cdef] marks, without comments and the export macro."""
    part = header.split("/* [cdef]", 1)[1].split("*/", 1)[1].split("/* [/cdef] */", 1)[0]
    return re.sub(r"/\*.*?\*/", "", part, flags=re.DOTALL).replace("DN_API ", "")


def main(header: Path, out: Path) -> None:
    """Write the source for cffi's API mode."""
    builder = cffi.FFI()
    builder.cdef(declarations(header.read_text(encoding="utf-8")))
    builder.set_source("pydarknet.engine._ffi", '#include "darknet.h"')
    builder.emit_c_code(str(out))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
