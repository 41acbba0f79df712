# SPDX-License-Identifier: Apache-2.0
"""Use of an NVIDIA GPU, measured through nvidia-ml-py."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pydarknet.errors import BackendError
from pydarknet.system.extras import require


class Gpu:
    """An NVIDIA GPU.

    Args:
        number: as CUDA counts, which follows ``CUDA_VISIBLE_DEVICES``.

    Raises:
        MissingExtra: nvidia-ml-py is not installed.
        BackendError: there is no driver or no such GPU.
    """

    def __init__(self, number: int = 0) -> None:
        self._nvml = nvml = require("pynvml", "gpu", "nvidia-ml-py")
        try:
            nvml.nvmlInit()
            self._device = _handle(nvml, number)
        except nvml.NVMLError as error:
            raise BackendError(f"NVIDIA GPU {number} cannot be measured: {error}") from None

    def sample(self) -> tuple[float | None, float | None, float | None]:
        """Per cent of the time in use, MiB of memory taken, degrees Celsius.

        A value is None if the driver does not report it.
        """
        nvml, device = self._nvml, self._device
        rates = self._asked(lambda: nvml.nvmlDeviceGetUtilizationRates(device).gpu)
        memory = self._asked(lambda: nvml.nvmlDeviceGetMemoryInfo(device).used / 2**20)
        return rates, memory, self._asked(lambda: nvml.nvmlDeviceGetTemperature(device, 0))  # 0: of the chip

    def _asked(self, call: Callable[[], Any]) -> float | None:
        try:
            return float(call())
        except self._nvml.NVMLError:
            return None


def _handle(nvml: Any, number: int) -> Any:
    """NVML's handle of a GPU; NVML counts all GPUs, CUDA those that are visible to the process."""
    visible = [word.strip() for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    name = visible[number] if number < len(visible) else ""
    if name.startswith("GPU-"):
        return nvml.nvmlDeviceGetHandleByUUID(name)
    return nvml.nvmlDeviceGetHandleByIndex(int(name) if name.isdecimal() else number)
