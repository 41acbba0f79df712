# SPDX-License-Identifier: Apache-2.0
"""Random small networks: fast paths of backend cpu against the plain loops of ref, which define the answer.

The networks mix what the passes care about: routes of routes, groups, shortcuts that fuse or overwrite, other
outputs wanted, sizes that are not square. A seed that fails is reproduced by its number alone.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from pydarknet import Network
from pydarknet.engine import _core
from pydarknet.errors import CfgError

pytestmark = pytest.mark.skipif(
    "cpu" not in _core.backend_names(), reason="this build has no backend cpu (oneDNN was not found)"
)

SMOOTH = ("linear", "leaky", "mish", "swish", "logistic", "relu", "tanh", "elu", "gelu", "hard_mish")
MAX_OUTPUTS = 20_000
Keys = dict[str, object]


def _section(draw: random.Random, layers: int, channels: int) -> str:
    """A layer after `layers` others, the last of them of `channels` channels; it need not be possible."""

    def back() -> int:
        return -draw.randint(1, min(layers, 8))

    def several(most: int) -> str:
        return ",".join(str(back()) for _ in range(draw.randint(1, most)))

    activation = draw.choice(SMOOTH)
    groups = draw.choice([2, 3])
    same: Keys = {"filters": channels, "size": 3, "pad": 1, "activation": activation}
    conv: Keys = {
        "filters": draw.choice([1, 3, 8, 16, 24, 33, 64]),
        "size": draw.choice([1, 2, 3, 5]),
        "stride": draw.choice([1, 1, 2]),
        "padding": draw.randint(0, 3),
        "groups": draw.choice([1, 1, 1, 2, channels]),
        "antialiasing": draw.choice([0, 0, 0, 0, 1, 2]),
        "batch_normalize": draw.randint(0, 1),
        "activation": activation,
    }
    weighted: Keys = {
        "weights_type": draw.choice(["per_feature", "per_channel"]),
        "weights_normalization": draw.choice(["relu", "softmax"]),
    }
    choices: list[tuple[str, Keys]] = [
        ("convolutional", conv),
        ("convolutional", conv),
        ("convolutional", same),
        ("convolutional", {**same, "groups": channels}),
        ("convolutional", {**same, "share_index": back()}),
        ("maxpool", {"size": draw.choice([2, 3, 5, 13]), "stride": draw.choice([1, 1, 2])}),
        ("route", {"layers": several(4)}),
        ("route", {"layers": several(4)}),
        ("route", {"layers": several(2), "groups": groups, "group_id": draw.randrange(groups)}),
        ("shortcut", {"from": back(), "activation": draw.choice(["linear", activation])}),
        ("shortcut", {"from": back(), "activation": "linear"}),
        ("shortcut", {"from": several(3), "activation": activation, **weighted}),
        ("upsample", {"stride": 2}),
        ("scale_channels", {"from": back(), "scale_wh": draw.randint(0, 1)}),
        ("sam", {"from": back(), "activation": activation}),
        ("activation", {"activation": activation}),
        ("batchnorm", {}),
        ("dropout", {"probability": 0.3}),
        ("empty", {}),
        ("avgpool", {}),
        ("local_avgpool", {"size": 3, "stride": draw.choice([1, 2])}),
        ("reorg", {"stride": 2}),
        ("implicit", {"filters": channels}),
    ]
    kind, keys = draw.choice(choices)
    return f"[{kind}]\n" + "".join(f"{key}={value}\n" for key, value in keys.items())


def _head(draw: random.Random, layers: int) -> str:
    return (
        f"[route]\nlayers={draw.randrange(layers)}\n[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
        "[yolo]\nmask=0,1\nnum=2\nanchors=4,5, 8,7\nclasses=2\nmax=5\n"
        f"iou_loss={draw.choice(['mse', 'giou', 'ciou'])}\n"
    )


def _network(draw: random.Random, heads: int) -> str:
    width, height = draw.choice([8, 12, 16, 17]), draw.choice([8, 12, 16, 17])
    cfg = f"[net]\nwidth={width}\nheight={height}\nchannels=3\nlearning_rate=0.01\n"
    layers, channels, length = 0, 3, draw.randint(3, 12)
    while layers < length:
        section = _section(draw, max(layers, 1), channels)
        try:
            with Network.parse(cfg + section, backend="ref", threads=1) as network:
                last = network.layers[-1]
        except CfgError:
            continue  # impossible here: draw again
        if last.outputs <= MAX_OUTPUTS and last.out_shape[0] <= 256:
            cfg, layers, channels = cfg + section, layers + 1, last.out_shape[0]
    return cfg + "".join(_head(draw, layers) for _ in range(heads))


def _write_weights(cfg: str, path: Path, values: np.random.Generator) -> Path:
    """Weights of every kind of array that differ from channel to channel, so that a mistaken one shows."""
    floats = [np.zeros(0, "<f4")]
    with Network.parse(cfg, backend="ref", threads=1) as network:
        for layer in network.layers:
            arrays = network.parameters(layer.index) if layer.parameters else {}
            for role, array in arrays.items():
                if role == "weights":
                    drawn = values.normal(0, max(float(array.std()), 0.05), array.size)
                elif role in ("scales", "variances"):
                    drawn = values.uniform(0.5, 1.5, array.size)
                else:
                    drawn = values.normal(0, 0.2, array.size)
                floats.append(drawn.astype("<f4"))
    path.write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + np.concatenate(floats).tobytes())
    return path


def _check(found: np.ndarray, expected: np.ndarray, tolerance: float, floor: float, what: str) -> None:
    allowed = tolerance * float(np.abs(expected).max()) + floor
    np.testing.assert_allclose(found, expected, rtol=0, atol=allowed, err_msg=what)


@pytest.mark.parametrize("seed", range(150))
def test_inference(seed: int, tmp_path: Path) -> None:
    draw, values = random.Random(seed), np.random.default_rng(seed)
    cfg = _network(draw, heads=draw.choice([0, 1, 2]))
    weights = _write_weights(cfg, tmp_path / "net.weights", values)
    options = {"threads": 1, "batch": draw.choice([1, 2])}
    with (
        Network.parse(cfg, weights, backend="ref", **options) as ref,
        Network.parse(cfg, weights, backend="cpu", precision="fp32", **options) as cpu,
    ):
        stride, layers = ref.info.stride, range(ref.info.layers)
        for size in (None, (stride * draw.randint(1, 3), stride * draw.randint(1, 3))):
            if size is not None:
                try:
                    ref.resize(*size)
                except CfgError:
                    continue  # a layer cannot have this size
                cpu.resize(*size)
            info = ref.info
            x = values.random((draw.randint(1, 3), info.channels, info.height, info.width), np.float32)
            for wanted in (None, list(layers), sorted(draw.sample(layers, 2)), [layers[-1]]):
                expected, found = ref.predict(x, wanted), cpu.predict(x, wanted)
                for layer, output in expected.items():
                    _check(
                        found[layer], output, 1e-3, 1e-5, f"layer {layer} of those wanted, {wanted}:\n{cfg}"
                    )


@pytest.mark.parametrize("seed", range(1000, 1060))
def test_training(seed: int, tmp_path: Path) -> None:
    draw, values = random.Random(seed), np.random.default_rng(seed)
    cfg = tmp_path / "net.cfg"
    cfg.write_text(_network(draw, heads=draw.choice([1, 2])))
    weights = _write_weights(cfg.read_text(), tmp_path / "net.weights", values)
    truths = np.zeros((2, 5, 6), np.float32)
    truths[:, :2] = values.uniform(0.2, 0.6, (2, 2, 6))
    truths[..., 4:] = 0  # class, track
    with (
        Network(cfg, weights, backend="ref", threads=1).trainer() as ref,
        Network(cfg, weights, backend="cpu", precision="fp32", threads=1).trainer() as cpu,
    ):
        info = ref.network.info
        for _ in range(2):
            x = values.random((2, info.channels, info.height, info.width), np.float32)
            expected, found = ref.accumulate(x, truths), cpu.accumulate(x, truths)
            assert found == pytest.approx(expected, rel=1e-3)
            gradients = [ref.gradients(layer) for layer in range(info.layers)]
            # A bias in front of batch norm has a gradient of 0: what is found is rounding of the others.
            floor = 1e-4 * max(
                float(np.abs(array).max()) for arrays in gradients for array in arrays.values()
            )
            for layer, arrays in enumerate(gradients):
                for role, expected_array in arrays.items():
                    what = f"{role} of layer {layer}:\n{cfg.read_text()}"
                    _check(cpu.gradients(layer)[role], expected_array, 2e-2, floor, what)
            ref.update()
            cpu.update()
            cpu.load_state(ref.state())  # so that differences do not add up
