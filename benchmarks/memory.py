# SPDX-License-Identifier: Apache-2.0
"""Compare ``pydarknet cfg memory`` with the measured memory of a process.

    python benchmarks/memory.py [MODEL …] [--size 416] [--mini-batch 4]

Each case runs in its own process; its largest resident set (VmHWM) is compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from peers import run_elsewhere

from pydarknet import cfg
from pydarknet.cfg.memory import inference_memory, training_memory

PEAK = 'print([line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1])'
DETECT = f"""
import sys
import numpy as np
from pydarknet import Network
with Network(sys.argv[1], precision=sys.argv[2]) as network:
    network.predict(np.zeros((1, *network.layers[0].in_shape), np.float32))
    {PEAK}
"""
TRAIN = f"""
import sys
import numpy as np
from pydarknet import Network
mini = int(sys.argv[3])
with Network(sys.argv[1], precision=sys.argv[2]) as network:
    trainer = network.trainer()
    images = np.full((mini, *network.layers[0].in_shape), 0.5, np.float32)
    truths = np.zeros((mini, 200, 6), np.float32)
    truths[:, 0, :4] = 0.5, 0.5, 0.3, 0.3
    trainer.accumulate(images, truths)
    trainer.accumulate(images, truths)
    trainer.update()
    {PEAK}
"""


def measured(path: Path, code: str, *arguments: str) -> int:
    """Peak resident bytes of a process that runs the code on a cfg."""
    command = [sys.executable, "-c", code, path, *arguments]
    return int(run_elsewhere(command, capture_output=True).stdout) * 1024


def report(model: str, task: str, need: int, real: int) -> None:
    print(
        f"{model:16} {task:12} {need / 2**20:10.0f} {real / 2**20:10.0f} {need / real - 1:+7.1%}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["yolov4-tiny", "yolov3-tiny", "yolov7-tiny", "yolov4"])
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--mini-batch", type=int, default=2)
    options = parser.parse_args()
    print(f"{'model':16} {'task':12} {'model MiB':>10} {'real MiB':>10} {'error':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            made = cfg.new(name, 80, options.size, batch=options.mini_batch, subdivisions=1)
            path = Path(folder).absolute() / f"{name}.cfg"
            made.save(path)
            for precision in ("fp32", "bf16"):
                need = inference_memory(made, precision=precision).total
                report(name, f"detect {precision}", need, measured(path, DETECT, precision))
                need = training_memory(made, largest=False, precision=precision).total
                real = measured(path, TRAIN, precision, str(options.mini_batch))
                report(name, f"train {precision}", need, real)


if __name__ == "__main__":
    main()
