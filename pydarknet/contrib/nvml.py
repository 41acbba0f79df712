# SPDX-License-Identifier: Apache-2.0
"""Use of the first NVIDIA GPU, measured through nvidia-ml-py."""

from __future__ import annotations

from pydarknet.errors import BackendError
from pydarknet.system.extras import require


class Gpu:
    """The first NVIDIA GPU.

    Raises:
        MissingExtra: nvidia-ml-py is not installed.
        BackendError: there is no driver or no GPU.
    """

    def __init__(self) -> None:
        self._nvml = nvml = require("pynvml", "gpu", "nvidia-ml-py")
        try:
            nvml.nvmlInit()
            self._device = nvml.nvmlDeviceGetHandleByIndex(0)
        except nvml.NVMLError as error:
            raise BackendError(f"no NVIDIA GPU can be measured: {error}") from None

    def sample(self) -> tuple[float | None, float | None]:
        """Per cent of the time in use and MiB of memory taken; None if the driver reports neither."""
        try:
            rates = self._nvml.nvmlDeviceGetUtilizationRates(self._device)
            memory = self._nvml.nvmlDeviceGetMemoryInfo(self._device)
        except self._nvml.NVMLError:
            return None, None
        return float(rates.gpu), memory.used / 2**20
