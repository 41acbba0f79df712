# SPDX-License-Identifier: Apache-2.0
"""Scripts written for ``darknet.py`` of all years, on ``pydarknet.compat``."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from trained_model import Model

import pydarknet
from pydarknet.compat import darknet, darknet_images
from pydarknet.errors import DarknetError

DOG = {"dog": 0.93, "bicycle": 0.90, "car": 0.80}
"""Detections of Darknet's own command in dog.jpg above 0.5."""


def strings(*paths: Path) -> list[str]:
    return [str(path) for path in paths]


def check_box(box: tuple[float, ...], model: Model, class_id: int, size: tuple[int, int]) -> None:
    row = next(row for row in model.expected("dog") if row[0] == class_id)
    np.testing.assert_allclose(box, row[2:] * np.array([*size, *size]), atol=1.5)


def test_generation_1_detect_with_bytes(model: Model) -> None:
    net = darknet.load_net(bytes(model.cfg), bytes(model.weights), 0)
    meta = darknet.load_meta(bytes(model.data))
    found = darknet.detect(net, meta, bytes(model.image("dog")))
    assert [label for label, _, _ in found] == [b"dog", b"bicycle", b"car"]
    assert [round(confidence, 1) for _, confidence, _ in found] == [0.9, 0.9, 0.8]
    check_box(found[0][2], model, 16, (768, 576))


def test_generation_1_raw_calls_with_eight_arguments(model: Model) -> None:
    """The loop that people copied out of darknet.py."""
    net = darknet.load_net(bytes(model.cfg), bytes(model.weights), 0)
    im = darknet.load_image(bytes(model.image("dog")), 0, 0)
    num = darknet.c_int(0)
    pnum = darknet.pointer(num)
    darknet.predict_image(net, im)
    dets = darknet.get_network_boxes(net, im.w, im.h, 0.5, 0.5, None, 0, pnum)
    num = pnum[0]
    darknet.do_nms_obj(dets, num, 80, 0.45)
    found = {i for j in range(num) for i in range(80) if dets[j].prob[i] > 0}
    darknet.free_image(im)
    for _ in range(2):  # the second call does nothing
        darknet.free_detections(dets, num)
        assert not dets
    assert found == {16, 1, 2}


def test_an_image_that_was_freed() -> None:
    """Freed again or used, it does not end the interpreter."""
    im = darknet.make_image(8, 8, 3)
    darknet.copy_image_from_bytes(im, b"\xff" * 192)
    assert im.data[0] == 1
    for _ in range(2):
        darknet.free_image(im)
        assert not im.data
    darknet.copy_image_from_bytes(im, b"\xff" * 192)


def test_generation_2_perform_detect(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("netMain", "metaMain", "altNames"):
        monkeypatch.setattr(darknet, name, None)
    files = strings(model.cfg, model.weights, model.data)
    found = darknet.performDetect(str(model.image("dog")), 0.5, *files, showImage=False)
    assert [label for label, _, _ in found] == ["dog", "bicycle", "car"]
    shown = darknet.performDetect(str(model.image("dog")), 0.5, *files)
    assert shown["image"].shape == (576, 768, 3)
    assert shown["caption"].startswith("dog: 93.")
    assert not np.array_equal(shown["image"][:, :, ::-1], model.pixels("dog"))
    with pytest.raises(ValueError, match=r"no\.cfg: invalid config path"):
        darknet.performDetect("x.jpg", 0.5, "no.cfg", *files[1:])
    with pytest.raises(ValueError, match=r"found threshold 2"):
        darknet.performDetect("x.jpg", 2, *files)


def test_generation_2_detect_image_on_a_frame(model: Model) -> None:
    """The loop of darknet_video.py until 2020, whose labels are bytes."""
    net = darknet.load_net_custom(bytes(model.cfg), bytes(model.weights), 0, 1)
    meta = darknet.load_meta(bytes(model.data))
    image = darknet.make_image(darknet.network_width(net), darknet.network_height(net), 3)
    frame = cv2.cvtColor(model.pixels("dog"), cv2.COLOR_BGR2RGB)
    resized = cv2.resize(frame, (320, 320), interpolation=cv2.INTER_LINEAR)
    darknet.copy_image_from_bytes(image, resized.tobytes())
    found = darknet.detect_image(net, meta, image, thresh=0.5)
    assert {label.decode() for label, _, _ in found} == set(DOG)
    assert found[0][1] == max(confidence for _, confidence, _ in found)
    with pytest.raises(DarknetError, match="found 12 bytes"):
        darknet.copy_image_from_bytes(image, bytes(12))


def test_generation_3_load_network_and_detect_image(model: Model) -> None:
    random.seed(3)
    network, class_names, colors = darknet.load_network(
        *strings(model.cfg, model.data, model.weights), batch_size=1
    )
    random.seed(3)
    first = tuple(random.randint(0, 255) for _ in range(3))
    assert colors["person"] == first
    assert class_names == model.names
    image = darknet.load_image(bytes(model.image("dog")))
    found = darknet.detect_image(network, class_names, image, thresh=0.5)
    darknet.free_image(image)
    assert {label: round(float(percent) / 100, 1) for label, percent, _ in found} == {
        label: round(value, 1) for label, value in DOG.items()
    }
    assert all(isinstance(percent, str) for _, percent, _ in found)
    assert [row[1] for row in found] == sorted(row[1] for row in found)
    check_box(found[-1][2], model, 16, (768, 576))


def test_generation_4_the_network_alone_with_a_names_file(
    model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    darknet.set_verbose(False)
    names_file = model.fixtures / "nets/coco.names"
    network = darknet.load_network(str(model.cfg), str(names_file), str(model.weights))
    assert (darknet.network_width(network), darknet.network_height(network)) == (320, 320)
    assert darknet.network_dimensions(network) == (320, 320, 3)
    width = darknet.c_int()
    darknet.network_dimensions(network, darknet.pointer(width), darknet.pointer(darknet.c_int()))
    assert width.value == 320
    image = darknet.load_image(bytes(model.image("dog")), 0, 0, 3)
    darknet.add_skipped_class(network, 16)
    found = darknet.detect_image(network, model.names, image, thresh=0.5)
    assert {label for label, _, _ in found} == {"bicycle", "car"}
    darknet.clear_skipped_classes(network)
    assert len(darknet.detect_image(network, model.names, image, thresh=0.5)) == 3
    darknet.free_image(image)
    assert tuple(map(int, darknet.version_short().split(b"."))) < (5, 1)  # whose records are larger
    darknet.show_version_info()
    assert capsys.readouterr().out.startswith("pydarknet ")


def test_install_makes_the_modules_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import pydarknet.compat

    for name in pydarknet.compat.MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    pydarknet.compat.install()
    import darknet_images as installed_images

    import darknet as installed

    assert installed is darknet
    assert installed_images is darknet_images
    for name in pydarknet.compat.MODULES:
        monkeypatch.delitem(sys.modules, name)


def test_an_unmodified_script_runs(model: Model, tmp_path: Path) -> None:
    script = tmp_path / "old.py"
    script.write_text(
        "from darknet import *\n"
        "import sys\n"
        "import beside\n"
        "net = load_net(sys.argv[1].encode(), sys.argv[2].encode(), 0)\n"
        "print(lib.network_width(net), sizeof(DETECTION), POINTER(c_float), beside.VALUE)\n"
    )
    (tmp_path / "beside.py").write_text("VALUE = 7\n")
    command = [sys.executable, "-m", "pydarknet.compat", *strings(script, model.cfg, model.weights)]
    folder = Path(pydarknet.__file__).parents[1]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=folder)
    assert result.stdout.startswith("320 88 <class ")
    assert result.stdout.rstrip().endswith(" 7")


def test_errors_are_exceptions_that_say_why(model: Model, tmp_path: Path) -> None:
    with pytest.raises(DarknetError, match=r"gone\.cfg"):
        darknet.load_net(b"gone.cfg", b"gone.weights", 0)
    with pytest.raises(DarknetError, match=r"gone\.data"):
        darknet.load_meta("gone.data")
    with pytest.raises(DarknetError, match=r"gone\.jpg: cannot be read"):
        darknet.load_image(b"gone.jpg", 0, 0)
    bare = tmp_path / "bare.data"
    bare.write_text("classes=3\n")
    with pytest.raises(DarknetError, match="neither names= nor labels="):
        darknet.load_network(str(model.cfg), str(bare), str(model.weights))


# -- helpers


def test_bbox2points_rounds_halves_to_even() -> None:
    assert darknet.bbox2points((10.5, 10.5, 3, 3)) == (9, 9, 12, 12)


def test_decode_detection_gives_percent_as_text() -> None:
    assert darknet.decode_detection([("a", 0.98765, (1, 2, 3, 4))]) == [("a", "98.77", (1, 2, 3, 4))]


def test_print_detections(capsys: pytest.CaptureFixture[str]) -> None:
    darknet.print_detections([("dog", "93.0", (1.4, 2.6, 30, 40))], coordinates=True)
    out = capsys.readouterr().out
    assert out.splitlines()[1:] == [
        "Objects:",
        "dog: 93.0%    (left_x: 1   top_y:  3   width:   30   height:  40)",
    ]


def test_fast_suppression_keeps_the_lower_box() -> None:
    upper, lower, apart = (
        ("a", "9", (50, 50, 40, 40)),
        ("a", "8", (50, 52, 40, 40)),
        ("b", "7", (200, 9, 9, 9)),
    )
    assert darknet.non_max_suppression_fast([upper, lower, apart], 0.5) == [lower, apart]
    assert darknet.non_max_suppression_fast([], 0.5) == []


def test_array_to_image_and_classify(model: Model) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image, keep = darknet.array_to_image(pixels)
    assert (image.w, image.h, image.c) == (4, 2, 3)
    np.testing.assert_allclose(
        np.ctypeslib.as_array(image.data, (3, 2, 4))[1, 0, 2] * 255, pixels[0, 2, 1], rtol=1e-6
    )
    assert keep.dtype == np.float32
    assert list(darknet.c_array(darknet.c_float, [1, 2])) == [1, 2]
    assert darknet.sample([0, 1, 0]) == 1


def test_darknet_images_detects_singly_and_in_batches(model: Model) -> None:
    network, names, colors = darknet.load_network(
        *strings(model.cfg, model.data, model.weights), batch_size=2
    )
    drawn, single = darknet_images.image_detection(str(model.image("dog")), network, names, colors, 0.5)
    assert drawn.shape == (320, 320, 3)
    assert {label for label, _, _ in single} == set(DOG)
    images = [model.pixels("dog"), model.pixels("dog")]
    drawn_batch, batch = darknet_images.batch_detection(network, images, names, colors, 0.5, batch_size=2)
    assert drawn_batch[0].shape == (576, 768, 3)
    assert [{label for label, _, _ in found} for found in batch] == [set(DOG), set(DOG)]
    dog = next(row for row in batch[1] if row[0] == "dog")
    place = darknet_images.convert2relative(images[0], dog[2])
    np.testing.assert_allclose(
        place, model.expected("dog")[0, 2:], atol=0.03
    )  # resized by OpenCV, not Darknet
    with pytest.raises(ValueError, match="found 2 images, expected the batch size of 3"):
        darknet_images.batch_detection(network, images, names, colors, batch_size=3)


def test_saved_annotations_do_not_destroy_labels(tmp_path: Path) -> None:
    label = tmp_path / "a.b.txt"
    label.write_text("made by hand\n")
    image = np.zeros((100, 200, 3), np.uint8)
    for _ in range(2):
        darknet_images.save_annotations(
            str(tmp_path / "a.b.jpg"), image, [("cat", "50.0", (20, 10, 4, 2))], ["dog", "cat"]
        )
    assert label.read_text() == "1 0.1000 0.1000 0.0200 0.0200 50.0000\n"
    assert (tmp_path / "a.b.txt.orig").read_text() == "made by hand\n"


def test_load_images(model: Model, tmp_path: Path) -> None:
    assert darknet_images.load_images(str(model.image("dog"))) == strings(model.image("dog"))
    (tmp_path / "list.txt").write_text("a.jpg\nb.png\n")
    assert darknet_images.load_images(str(tmp_path / "list.txt")) == ["a.jpg", "b.png"]
    for name in ("b.JPG", "a.png", "c.gif"):
        (tmp_path / name).touch()
    assert darknet_images.load_images(str(tmp_path)) == strings(tmp_path / "a.png", tmp_path / "b.JPG")


# -- the wrapper that imports as pydarknet


def test_yolo34py_detector(model: Model) -> None:
    net = pydarknet.Detector(bytes(model.cfg), bytes(model.weights), 0, bytes(model.data))
    found = net.detect(pydarknet.Image(model.pixels("dog")), thresh=0.5)
    assert [label for label, _, _ in found] == ["dog", "bicycle", "car"]
    assert found[0][0].decode("utf-8") == "dog"
    check_box(found[0][2], model, 16, (768, 576))
    assert not pydarknet.is_compiled_with_gpu()
    with pytest.raises(DarknetError, match="found ndarray, expected Image"):
        net.detect(model.pixels("dog"))


@pytest.fixture
def classifier(tmp_path: Path) -> list[str]:
    """cfg, weights and data of a network of three classes with random weights."""
    cfg, weights, data = tmp_path / "c.cfg", tmp_path / "c.weights", tmp_path / "c.data"
    cfg.write_text(
        "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nsize=1\nfilters=3\nactivation=linear\n"
        "[avgpool]\n[softmax]\n"
    )
    with pydarknet.Network(cfg) as net:
        net.save_weights(weights)
    (tmp_path / "c.names").write_text("red\ngreen\nblue\n")
    data.write_text(f"classes=3\nnames={tmp_path / 'c.names'}\n")
    return strings(cfg, weights, data)


def test_classification_in_every_shape(classifier: list[str]) -> None:
    """The mean of each channel, mixed by the weights, through softmax: calculated here with numpy."""
    pixels = np.zeros((8, 8, 3), np.uint8) + np.array([30, 200, 90], np.uint8)  # blue first
    with pydarknet.Network(classifier[0], classifier[1]) as net:
        arrays = net.parameters(0)
    logits = arrays["weights"].reshape(3, 3) @ (np.array([90, 200, 30]) / 255) + arrays["biases"]
    probabilities = np.exp(logits) / np.exp(logits).sum()
    order = np.argsort(-probabilities)
    names = [["red", "green", "blue"][i] for i in order]

    meta = darknet.load_meta(classifier[2])
    network = darknet.load_net(*classifier[:2], 0)
    image = darknet.image_of(pixels)
    old = darknet.classify(network, meta, image)
    darknet.free_image(image)
    new = darknet_images.image_classification(pixels, network, ["red", "green", "blue"])
    wrapper = pydarknet.Detector(*classifier[:2], 0, classifier[2]).classify(pydarknet.Image(pixels))
    assert [label for label, _ in old] == [name.encode() for name in names]
    assert [label for label, _ in new] == names
    assert [label for label, _ in wrapper] == [name.encode() for name in names]
    for rows, tolerance in ((old, 1e-5), (new, 1e-5), (wrapper, 5e-3)):  # the last may compute in bf16
        np.testing.assert_allclose([p for _, p in rows], probabilities[order], atol=tolerance)


def test_darknet_images_as_a_program(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog.jpg").write_bytes(model.image("dog").read_bytes())
    files = ["--config_file", model.cfg, "--data_file", model.data, "--weights", model.weights]
    monkeypatch.setattr(
        "sys.argv", ["darknet_images", "--input", "dog.jpg", "--save_labels", *map(str, files)]
    )
    darknet_images.main()
    out = capsys.readouterr().out
    assert "Objects:" in out
    assert "dog: 9" in out
    assert cv2.imread("predictions/dog.jpg").shape == (320, 320, 3)
    assert {int(line.split()[0]) for line in Path("dog.txt").read_text().splitlines()} >= {1, 2, 16}
    monkeypatch.setattr("sys.argv", ["darknet_images", "--thresh", "3", *map(str, files)])
    with pytest.raises(ValueError, match="found --thresh 3"):
        darknet_images.main()
    monkeypatch.setattr("sys.argv", ["darknet_images", "--input", "gone.jpg", *map(str, files)])
    with pytest.raises(ValueError, match=r"gone\.jpg: image, list or folder not found"):
        darknet_images.main()
