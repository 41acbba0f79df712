# SPDX-License-Identifier: Apache-2.0
"""Write the seeds of the weights fuzzer: both headers, whole and partial, for weights.cpp's network.

python darknet/tests/fuzz/make_corpus.py
"""

import pathlib
import struct

FLOATS = [0.5] * 49  # parameters of the network in weights.cpp
FIRST_LAYER = 12

folder = pathlib.Path(__file__).parent / "corpus" / "weights"
folder.mkdir(parents=True, exist_ok=True)
for name, header, count in [
    ("whole", struct.pack("<3iQ", 0, 2, 5, 64), len(FLOATS)),
    ("narrow_header", struct.pack("<3iI", 0, 1, 0, 64), len(FLOATS)),
    ("transposed", struct.pack("<3iQ", 1001, 0, 0, 64), len(FLOATS)),
    ("partial", struct.pack("<3iQ", 0, 2, 5, 64), FIRST_LAYER),
    ("cut_off", struct.pack("<3iQ", 0, 2, 5, 64), FIRST_LAYER + 1),
    ("left_over", struct.pack("<3iQ", 0, 2, 5, 64), len(FLOATS) + 1),
]:
    values = ([*FLOATS, 0.5])[:count]
    (folder / name).write_bytes(header + struct.pack(f"<{count}f", *values))
