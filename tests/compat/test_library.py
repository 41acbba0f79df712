# SPDX-License-Identifier: Apache-2.0
"""The compatibility interface through ctypes, as programs hold it who load the library themselves."""

from __future__ import annotations

import ctypes
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from trained_model import Model

from pydarknet import Network, libdarknet_path
from pydarknet.compat._library import (
    DETECTION,
    IMAGE,
    FloatPtr,
)
from pydarknet.compat._library import lib as declared


class BboxT(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint) for name in ("x", "y", "w", "h")),
        ("prob", ctypes.c_float),
        *((name, ctypes.c_uint) for name in ("obj_id", "track_id", "frames_counter")),
        *((name, ctypes.c_float) for name in ("x_3d", "y_3d", "z_3d")),
    )


class Container(ctypes.Structure):
    _fields_ = (("candidates", BboxT * 1000),)


def reason() -> str:
    message = declared.dn_last_error()
    assert isinstance(message, bytes)
    return message.decode()


def plain(name: str, result: object = None) -> ctypes._CFuncPtr:  # type: ignore[name-defined]
    """A function without the checks that pydarknet.compat adds."""
    library = ctypes.CDLL(str(libdarknet_path()))
    function = library[name]
    function.restype = result
    return function


@pytest.fixture
def net(model: Model) -> ctypes.c_void_p:
    handle = ctypes.c_void_p(declared.load_network_custom(bytes(model.cfg), bytes(model.weights), 1, 1))
    yield handle
    declared.free_network_ptr(handle)


def as_image(planes: np.ndarray) -> IMAGE:
    channels, height, width = planes.shape
    return IMAGE(width, height, channels, planes.ctypes.data_as(FloatPtr))


def records(net: ctypes.c_void_p, thresh: float, letter: int = 0, size: tuple[int, int] = (1, 1)) -> tuple:
    count = ctypes.c_int()
    dets = declared.get_network_boxes(net, *size, thresh, 0.5, None, 1, ctypes.byref(count), letter)
    return dets, count.value


def table(dets: object, count: int) -> list[tuple[tuple[float, ...], float, np.ndarray]]:
    """box, objectness, probabilities of each record."""
    rows = [dets[i] for i in range(count)]  # type: ignore[index]
    return [
        ((d.bbox.x, d.bbox.y, d.bbox.w, d.bbox.h), d.objectness, np.array(d.prob[: d.classes])) for d in rows
    ]


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    sides = [
        min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2)
        for i in (0, 1)
    ]
    inner = max(sides[0], 0) * max(sides[1], 0)
    return inner / (a[2] * a[3] + b[2] * b[3] - inner)


def test_layouts_are_those_of_darknet() -> None:
    offsets = {name: getattr(DETECTION, name).offset for name, _ in DETECTION._fields_}
    assert ctypes.sizeof(DETECTION) == 88
    assert offsets == {
        "bbox": 0, "classes": 16, "best_class_idx": 20, "prob": 24, "mask": 32, "objectness": 40,
        "sort_class": 44, "uc": 48,
        "points": 56, "embeddings": 64, "embedding_size": 72, "sim": 76, "track_id": 80,
    }  # fmt: skip


def test_best_class_is_filled_in(net: ctypes.c_void_p, model: Model) -> None:
    planes = model.planes("dog")
    declared.network_predict_image(net, as_image(planes))
    dets, count = records(net, 0.1)
    best = [dets[i].best_class_idx for i in range(count)]
    probabilities = [prob for _, _, prob in table(dets, count)]
    declared.free_detections(dets, count)
    assert best == [int(prob.argmax()) if prob.any() else -1 for prob in probabilities]
    assert 16 in best  # the dog


def test_nms_sort_equals_a_plain_suppression(net: ctypes.c_void_p, model: Model) -> None:
    """Per class, in order of probability, a box goes that overlaps a better one too much."""
    planes = model.planes("horses")
    declared.network_predict_image(net, as_image(planes))
    dets, count = records(net, 0.02)
    candidates = table(dets, count)
    expected = set()
    for c in range(80):
        left = sorted((row for row in candidates if row[2][c] > 0), key=lambda row: -row[2][c])
        while left:
            best = left.pop(0)
            expected.add((best[0], c))
            left = [row for row in left if iou(best[0], row[0]) <= 0.45]
    declared.do_nms_sort(dets, count, 10_000, 0.45)  # more classes than there are do no harm
    kept = {(box, int(c)) for box, _, prob in table(dets, count) for c in np.flatnonzero(prob)}
    declared.free_detections(dets, count)
    assert len(kept) < sum(int((prob > 0).sum()) for _, _, prob in candidates)
    assert kept == expected


def test_nms_obj_keeps_the_most_certain_of_overlapping_boxes(net: ctypes.c_void_p, model: Model) -> None:
    planes = model.planes("dog")
    declared.network_predict_image(net, as_image(planes))
    dets, count = records(net, 0.05)
    left = sorted(table(dets, count), key=lambda row: -row[1])
    expected = set()
    while left:
        best = left.pop(0)
        expected.add(best[0])
        left = [row for row in left if iou(best[0], row[0]) <= 0.4]
    declared.do_nms_obj(dets, count, 80, 0.4)
    after = table(dets, count)
    declared.free_detections(dets, count)
    assert {box for box, objectness, _ in after if objectness > 0} == expected
    assert not any(prob.any() for _, objectness, prob in after if objectness == 0)


def test_letterbox_finds_what_the_network_finds(net: ctypes.c_void_p, model: Model) -> None:
    planes = model.planes("dog")
    declared.network_predict_image_letterbox(net, as_image(planes))
    dets, count = records(net, 0.3, letter=1, size=(768, 576))
    found = sorted((p, *box) for box, _, prob in table(dets, count) for p in prob[prob > 0])
    declared.free_detections(dets, count)
    with Network(model.cfg, model.weights, precision="fp32") as network:
        dets_of_network = network.detect(model.image("dog"), 0.3, nms=0, letterbox=True)
    x1, y1, x2, y2 = dets_of_network.xyxy.T.astype(float)
    boxes = [(x1 + x2) / 2 / 768, (y1 + y2) / 2 / 576, (x2 - x1) / 768, (y2 - y1) / 576]
    expected = sorted(zip(dets_of_network.confidence.astype(float), *boxes, strict=True))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_batch_equals_its_images_one_by_one(net: ctypes.c_void_p, model: Model) -> None:
    with Network(model.cfg, model.weights, precision="fp32") as network:
        planes = [network.preprocess(model.image(name)) for name in ("dog", "horses", "eagle")]
    singly = []
    for one in planes:
        declared.network_predict_image(net, as_image(one))  # sets the batch to 1, which must not matter below
        dets, count = records(net, 0.2)
        singly.append(table(dets, count))
        declared.free_detections(dets, count)
    batch = np.ascontiguousarray(planes)
    pairs = declared.network_predict_batch(net, as_image(batch[0]), 3, 1, 1, 0.2, 0.5, None, 1, 0)
    for i, expected in enumerate(singly):
        found = table(pairs[i].dets, pairs[i].num)
        assert len(found) == len(expected) > 0
        for (box, objectness, prob), (box_1, objectness_1, prob_1) in zip(found, expected, strict=True):
            np.testing.assert_allclose([*box, objectness, *prob], [*box_1, objectness_1, *prob_1], atol=1e-4)
    declared.free_batch_detections(pairs, 3)


def test_threads_on_one_network_get_their_own_boxes(net: ctypes.c_void_p, model: Model) -> None:
    images = {name: model.planes(name) for name in ("dog", "horses", "eagle", "person")}

    def detect(name: str) -> list[float]:
        declared.network_predict_image(net, as_image(images[name]))
        dets, count = records(net, 0.3)
        found = sorted(objectness for _, objectness, _ in table(dets, count))
        declared.free_detections(dets, count)
        return found

    alone = {name: detect(name) for name in images}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detect, list(images) * 6))
    assert together == [alone[name] for name in list(images) * 6]


def test_a_thread_without_a_prediction_sees_the_latest(net: ctypes.c_void_p, model: Model) -> None:
    planes = model.planes("dog")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(declared.network_predict_image, net, as_image(planes)).result()
    dets, count = records(net, 0.5)
    declared.free_detections(dets, count)
    assert count > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[: len(data) // 2], "weights"),
        (lambda data: b"", "weights"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    model: Model, tmp_path: Path, change: object, message: str
) -> None:
    weights = tmp_path / "cut.weights"
    weights.write_bytes(change(model.weights.read_bytes())[:-2])  # type: ignore[operator]
    assert plain("load_network_custom", ctypes.c_void_p)(bytes(model.cfg), bytes(weights), 0, 1) is None
    assert message in reason()


def test_wrong_calls_fail_with_a_reason(net: ctypes.c_void_p) -> None:
    predict = plain("network_predict_image", ctypes.c_void_p)
    grey = np.zeros((1, 8, 8), np.float32)
    assert predict(net, as_image(grey)) is None
    assert "has 1 channels, the network takes 3" in reason()
    assert plain("network_predict_ptr", ctypes.c_void_p)(net, None) is None
    assert "input is NULL" in reason()
    assert plain("network_width", ctypes.c_int)(None) == 0
    assert "the network is NULL" in reason()
    batch = plain("network_predict_batch", ctypes.c_void_p)
    color = as_image(np.zeros((3, 8, 8), np.float32))
    none, fraction = None, ctypes.c_float(0.5)
    assert batch(net, color, 0, 1, 1, fraction, fraction, none, 1, 0) is None
    assert "found batch_size 0" in reason()
    assert not plain("make_image", IMAGE)(0, 4, 3).data
    assert "found 0 x 4 x 3" in reason()


# -- images


def test_images_are_resized_and_letterboxed_as_the_network_does(model: Model) -> None:
    planes = model.planes("horses")
    with Network(model.cfg, model.weights) as network:
        stretched = network.preprocess(model.image("horses"))
        boxed = network.preprocess(model.image("horses"), letterbox=True)
    for function, expected in ((declared.resize_image, stretched), (declared.letterbox_image, boxed)):
        image = function(as_image(planes), 320, 320)
        np.testing.assert_array_equal(np.ctypeslib.as_array(image.data, (3, 320, 320)), expected)
        declared.free_image(image)


def test_bytes_become_planes_and_channels_swap() -> None:
    image = declared.make_image(2, 1, 3)
    declared.copy_image_from_bytes(image, bytes([0, 51, 102, 153, 204, 255]))
    view = np.ctypeslib.as_array(image.data, (3, 1, 2))
    np.testing.assert_allclose(view[:, 0], [[0, 0.6], [0.2, 0.8], [0.4, 1]], rtol=1e-6)
    declared.rgbgr_image(image)
    np.testing.assert_allclose(view[:, 0], [[0.4, 1], [0.2, 0.8], [0, 0.6]], rtol=1e-6)
    declared.free_image(image)


def test_crop_repeats_the_border() -> None:
    planes = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
    image = plain("crop_image", IMAGE)(as_image(planes), -1, 0, 3, 3)
    np.testing.assert_array_equal(
        np.ctypeslib.as_array(image.data, (3, 3)), [[0, 0, 1], [2, 2, 3], [2, 2, 3]]
    )
    declared.free_image(image)


# -- metadata and JSON


def test_metadata_keeps_names_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "my names.txt").write_bytes(b"dog\r\n  big cat \n\nlast\n")
    data = tmp_path / "x.data"
    data.write_text("# comment\nclasses= 4\n names = my names.txt \n")
    meta = declared.get_metadata(bytes(data))
    assert [meta.names[i] for i in range(meta.classes)] == [b"dog", b"  big cat ", b"", b"last"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes=5\nnames=n.txt\n", "found 2 class names"),
        ("classes=two\nnames=n.txt\n", "found classes=two"),
        ("classes=2\nnames=gone.txt\n", "gone.txt"),
    ],
)
def test_bad_metadata_is_empty_with_a_reason(tmp_path: Path, text: str, message: str) -> None:
    from pydarknet.compat._library import METADATA

    (tmp_path / "n.txt").write_text("a\nb\n")
    (tmp_path / "x.data").write_text(text)
    meta = plain("get_metadata", METADATA)(bytes(tmp_path / "x.data"))
    assert (meta.classes, bool(meta.names)) == (0, False)
    assert message in reason()


def test_json_has_darknets_keys_and_escapes(net: ctypes.c_void_p, model: Model) -> None:
    planes = model.planes("dog")
    declared.network_predict_image(net, as_image(planes))
    dets, count = records(net, 0.5)
    declared.do_nms_sort(dets, count, 80, 0.45)
    names = [f'the "{name}"' for name in model.names]
    names[1] = "dont_show bicycle"
    c_names = (ctypes.c_char_p * 80)(*(name.encode() for name in names))
    write = plain("detection_to_json", ctypes.c_void_p)
    text = write(dets, count, 80, c_names, ctypes.c_longlong(3), b'a"b.jpg')
    record = json.loads(ctypes.string_at(text))
    plain("free")(ctypes.c_void_p(text))
    declared.free_detections(dets, count)
    assert (record["frame_id"], record["filename"]) == (3, 'a"b.jpg')
    assert {entry["name"] for entry in record["objects"]} == {'the "dog"', 'the "car"'}
    assert set(record["objects"][0]) == {"class_id", "name", "relative_coordinates", "confidence"}


# -- one detector per process


def test_the_process_wide_detector(model: Model) -> None:
    found = Container()
    assert plain("detect_image", ctypes.c_int)(bytes(model.image("dog")), ctypes.byref(found)) == -1
    assert "init() was not called" in reason() or "without an image decoder" in reason()
    assert plain("init", ctypes.c_int)(b"no.cfg", bytes(model.weights), 0, 1) == 0
    # Three arguments, as older callers have it, leave anything in the fourth.
    assert plain("init", ctypes.c_int)(bytes(model.cfg), bytes(model.weights), 0, -123456) == 1
    try:
        if not plain("built_with_opencv", ctypes.c_bool)():
            pytest.skip("this build has no image decoder (stb_image was not found)")
        count = plain("detect_image", ctypes.c_int)(bytes(model.image("dog")), ctypes.byref(found))
        encoded = model.image("dog").read_bytes()
        again = Container()
        size = ctypes.c_size_t(len(encoded))
        assert plain("detect_mat", ctypes.c_int)(encoded, size, ctypes.byref(again)) == count
        assert bytes(again) == bytes(found)
        strong = [box for box in found.candidates[:count] if box.prob > 0.5]
        expected = model.expected("dog", 0.5)
        assert sorted(box.obj_id for box in strong) == sorted(expected[:, 0])
        dog = next(box for box in strong if box.obj_id == 16)
        _, _, x, y, w, h = expected[expected[:, 0] == 16][0]
        corner = [(x - w / 2) * 768, (y - h / 2) * 576, w * 768, h * 576]
        np.testing.assert_allclose([dog.x, dog.y, dog.w, dog.h], corner, atol=3)
        assert plain("detect_mat", ctypes.c_int)(b"no image", ctypes.c_size_t(8), ctypes.byref(again)) == -1
        assert "cannot be decoded" in reason()
    finally:
        assert plain("dispose", ctypes.c_int)() == 1


@pytest.mark.parametrize("device", [-1, 0, 99])
def test_a_network_loads_whatever_gpu_was_chosen(device: int, tiny_files: tuple[Path, Path]) -> None:
    """Darknet's scripts choose GPU 0 on any machine; the choice is the calling thread's."""
    cfg, weights = (bytes(path) for path in tiny_files)

    def width() -> int:
        declared.cuda_set_device(device)
        network = declared.load_network_custom(cfg, weights, 0, 1)
        try:
            return int(declared.network_width(network))
        finally:
            declared.free_network_ptr(network)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(width).result() == 4


def test_there_is_no_gpu() -> None:
    name = ctypes.create_string_buffer(b"before", 64)
    assert plain("get_device_count", ctypes.c_int)() == -1
    assert plain("get_device_name", ctypes.c_int)(0, name) == -1
    assert name.value == b""
    assert not plain("built_with_cuda", ctypes.c_bool)()
    assert not plain("built_with_cudnn", ctypes.c_bool)()


def test_the_self_tests_network_through_the_interface(
    tiny_files: tuple[Path, Path], levels: np.ndarray
) -> None:
    """One object of 0.7304, 2 x 2 around (3, 3), calculated by hand; needs no files from elsewhere."""
    net = ctypes.c_void_p(declared.load_network(bytes(tiny_files[0]), bytes(tiny_files[1]), 0))
    image = declared.make_image(4, 4, 1)
    declared.copy_image_from_bytes(image, levels.tobytes())
    declared.network_predict_image(net, image)
    count = ctypes.c_int()
    dets = declared.get_network_boxes(net, 4, 4, 0.5, 0.5, None, 0, ctypes.byref(count), 0)
    [(box, _, prob)] = table(dets, count.value)
    declared.free_detections(dets, count)
    declared.free_image(image)
    declared.free_network_ptr(net)
    np.testing.assert_allclose([*box, *prob], [3, 3, 2, 2, 0.7304], atol=1e-4)
