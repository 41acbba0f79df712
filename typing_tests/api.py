# SPDX-License-Identifier: Apache-2.0
"""Uses of the public API that type checkers accept, infer or refuse; checked by mypy and pyright, never run.

A misspelled name must be an error: mypy --strict reports each ``type: ignore`` that ignores nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

import pydarknet
from pydarknet import DarknetError, DataError, Detections, Evaluation, Network, TrainConfig, cfg, data, train
from pydarknet.engine.trainer import Trainer


def detect(network: Network, image: npt.NDArray[np.uint8]) -> None:
    assert_type(network.detect(image), Detections)
    assert_type(network.detect(Path("dog.jpg"), thresh=0.5, nms=0.4, letterbox=True), Detections)
    assert_type(network.detect("dog.jpg"), Detections)
    assert_type(network.detect(b"..."), Detections)
    assert_type(network.detect([image, "dog.jpg"]), list[Detections])
    assert_type(network.detect(("a.jpg", "b.jpg")), list[Detections])
    network.detect(3)  # type: ignore[call-overload]
    network.detekt(image)  # type: ignore[attr-defined]


def predict(network: Network, x: npt.NDArray[np.float32]) -> None:
    assert_type(network.predict(x), dict[int, npt.NDArray[np.float32]])
    assert_type(network.predict(x, layers=[3, 7])[3], npt.NDArray[np.float32])


def detections(dets: Detections, image: npt.NDArray[np.uint8]) -> None:
    assert_type(dets.xyxy, npt.NDArray[np.float32])
    assert_type(dets[dets.confidence > 0.5], Detections)
    assert_type(dets[0], Detections)
    assert_type(dets.plot(image), npt.NDArray[np.uint8])
    assert_type(dets.to_json(), str)
    assert_type(len(dets), int)
    assert_type([one.labels for one in dets], list[list[str]])


def network() -> None:
    with Network("a.cfg", Path("a.weights"), names=["cat"], batch=4, threads=None) as net:
        assert_type(net, Network)
        assert_type(net.clone(), Network)
        assert_type(net.names, tuple[str, ...])
        assert_type(net.batch, int)
        assert_type(net.info.width, int)
    Network("a.cfg", backend=3)  # type: ignore[arg-type]


def steps(net: Network, x: npt.NDArray[np.float32]) -> None:
    with net.trainer() as trainer:
        assert_type(trainer, Trainer)
        assert_type(trainer.network, Network)
        assert_type(trainer.accumulate(x, x), float)
        assert_type(trainer.gradients(0), dict[str, npt.NDArray[np.float32]])
        trainer.load_state(trainer.state())
        trainer.acumulate(x, x)  # type: ignore[attr-defined]
    net.accumulate(x, x)  # type: ignore[attr-defined]


def training(config: TrainConfig) -> None:
    assert_type(train(config).folder, Path)
    train(config, hocks=[])  # type: ignore[call-arg]
    TrainConfig(data=Path("a.data"), cfg=Path("a.cfg"), max_ours=3)  # type: ignore[call-arg]


def evaluation(net: Network, dataset: data.Dataset) -> None:
    found = pydarknet.evaluate(net, dataset)
    assert_type(found, Evaluation)
    found.map51()  # type: ignore[attr-defined]


def data_sets() -> None:
    dataset = data.read("ds")
    assert_type(dataset, data.Dataset)
    assert_type(dataset.names, tuple[str, ...])
    data.rite(dataset, "out", format="darknet")  # type: ignore[attr-defined]


def cfg_files() -> None:
    file = cfg.CfgFile.load("a.cfg")
    assert_type(file, cfg.CfgFile)
    assert_type(file.net.integer("width"), int)
    cfg.CfgFile.lode("a.cfg")  # type: ignore[attr-defined]


def package() -> None:
    assert_type(pydarknet.__version__, str)
    assert_type(pydarknet.libdarknet_path(), Path)
    pydarknet.Netwerk  # type: ignore[attr-defined]  # noqa: B018
    try:
        pydarknet.stream(Network("a.cfg"), "0")
    except DataError as error:
        assert_type(error, DataError)
        failure: DarknetError = error
        raise failure from None
