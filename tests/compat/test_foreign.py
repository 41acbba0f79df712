# SPDX-License-Identifier: Apache-2.0
"""Detection through another library: our compatibility interface, and PYDARKNET_LIBRARY if set."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from trained_model import Model, ordered

from pydarknet import Detections, Network, libdarknet_path
from pydarknet.errors import ArgumentError, BackendError, CfgError, FileError

UPSTREAM = os.environ.get("PYDARKNET_LIBRARY")
LIBRARIES = [
    str(libdarknet_path()),
    pytest.param(
        UPSTREAM, marks=pytest.mark.skipif(not UPSTREAM, reason="PYDARKNET_LIBRARY names no library")
    ),
]


def relative(dets: Detections) -> np.ndarray:
    """Rows of class, confidence, relative x, y, w, h."""
    x1, y1, x2, y2 = dets.xyxy.T.astype(float)
    width, height = dets.image_size
    boxes = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
    return ordered([*zip(dets.class_id, dets.confidence, *boxes, strict=True)])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", ["dog", "eagle", "giraffe"])
def test_a_library_finds_what_darknet_found(model: Model, library: str, name: str) -> None:
    with Network(model.cfg, model.weights, names=model.names, library=library) as net:
        found = relative(net.detect(model.image(name), 0.11))
    expected = model.expected(name)
    np.testing.assert_array_equal(found[:, 0], expected[:, 0])
    np.testing.assert_allclose(found[:, 1], expected[:, 1], atol=0.01)
    np.testing.assert_allclose(found[:, 2:], expected[:, 2:], atol=1 / 400)


@pytest.mark.parametrize("library", LIBRARIES)
def test_letterbox_and_lists_equal_our_engine(model: Model, library: str) -> None:
    images = [model.image("horses"), model.pixels("person")]
    options = {"thresh": 0.3, "nms": 0.45, "letterbox": True}
    with Network(model.cfg, model.weights, precision="fp32") as ours:
        expected = ours.detect(images, **options)
    with Network(model.cfg, model.weights, library=library) as theirs:
        found = theirs.detect(images, **options)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.class_id, other.class_id)
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-3)
        np.testing.assert_allclose(one.xyxy, other.xyxy, atol=0.1)


def test_the_environment_names_the_library(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDARKNET_LIBRARY", str(libdarknet_path()))
    with Network(model.cfg, model.weights, batch=4) as net:
        assert (net.info.backend, net.info.classes, net.batch) == ("libdarknet.so", 80, 4)
        assert "libdarknet.so" in repr(net)
    with pytest.raises(ArgumentError, match="the network is closed"):
        net.detect(model.image("dog"))


def test_it_only_detects(model: Model) -> None:
    with Network(model.cfg, model.weights, library=libdarknet_path()) as net:
        with pytest.raises(
            ArgumentError, match=r"libdarknet\.so: a network of a foreign library only detects"
        ):
            net.resize(416, 416)
        with pytest.raises(ArgumentError, match="only detects"):
            net.clone()
        with pytest.raises(ArgumentError, match="found thresh 2, expected 0 to 1"):
            net.detect(model.image("dog"), thresh=2)


def test_files_are_looked_at_before_the_library_sees_them(model: Model, tmp_path: Path) -> None:
    library = libdarknet_path()
    with pytest.raises(FileError, match=r"gone\.weights: file not found"):
        Network(model.cfg, "gone.weights", library=library)
    bad = tmp_path / "bad.cfg"
    bad.write_text("[convolutional]\n")
    with pytest.raises(CfgError, match=r"expected \[net\]"):
        Network(bad, model.weights, library=library)
    bad.write_text("[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=1\n")
    with pytest.raises(CfgError, match="has no detection head"):
        Network(bad, model.weights, library=library)
    cut = tmp_path / "cut.weights"
    cut.write_bytes(model.weights.read_bytes()[:1001])
    with pytest.raises(CfgError, match=r"cannot load .* with .*cut\.weights: "):
        Network(model.cfg, cut, library=library)
    with pytest.raises(ArgumentError, match=r"found backend='cpu', which .*libdarknet\.so does not support"):
        Network(model.cfg, model.weights, library=library, backend="cpu")


def test_what_is_no_darknet_library_is_refused(model: Model, tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    with pytest.raises(BackendError, match=r"text\.so: cannot be loaded"):
        Network(model.cfg, model.weights, library=text)
    stub = compiled(tmp_path, "int network_predict_ptr(void) { return 0; }\n")
    with pytest.raises(BackendError, match="has no function load_network_custom"):
        Network(model.cfg, model.weights, library=stub)


@pytest.mark.parametrize("size", [64, 88, 96])
def test_the_size_of_records_is_measured(model: Model, tmp_path: Path, size: int) -> None:
    """A library of another version: its first record is certain, all others have no probability."""
    stub = compiled(tmp_path, STUB.replace("SIZE", str(size)))
    with Network(model.cfg, model.weights, library=stub) as net:
        found = net.detect(model.image("dog"))
    assert len(found) == 30
    np.testing.assert_allclose(found.confidence, np.linspace(0.5, 0.79, 30), rtol=1e-6)
    np.testing.assert_allclose(found.xyxy[0], [0.25 * 768, 0.125 * 576, 0.75 * 768, 0.875 * 576])


def test_records_of_unknown_size_are_refused(model: Model, tmp_path: Path) -> None:
    stub = compiled(tmp_path, STUB.replace("SIZE", "104"))
    with pytest.raises(BackendError, match="unknown layout of detections"):
        Network(model.cfg, model.weights, library=stub)


def compiled(folder: Path, source: str) -> Path:
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler here")
    (folder / "stub.c").write_text(source)
    subprocess.run(["cc", "-shared", "-fPIC", folder / "stub.c", "-o", folder / "stub.so"], check=True)
    return folder / "stub.so"


STUB = """
#include <stdlib.h>
typedef struct { int w, h, c; float *data; } image;
static int dummy;
static float *output(void) { static float value; return &value; }
void *load_network_custom(char *cfg, char *weights, int clear, int batch) { return &dummy; }
void free_network_ptr(void *net) {}
float *network_predict_ptr(void *net, float *input) { return output(); }
float *network_predict_image(void *net, image im) { return output(); }
float *network_predict_image_letterbox(void *net, image im) { return output(); }
void *get_network_boxes(void *net, int w, int h, float thresh, float hier, int *map, int relative, int *num,
                        int letter) {
    char *block = calloc(30, SIZE);
    for (int i = 0; i < 30; ++i) {
        char *record = block + i * SIZE;
        float *box = (float *)record;
        box[0] = box[1] = 0.5f, box[2] = 0.5f, box[3] = 0.75f;
        *(int *)(record + 16) = 80;
        float *prob = calloc(80, sizeof(float));
        prob[i] = 0.5f + 0.01f * i;
        *(float **)(record + 24) = prob;
    }
    *num = 30;
    return block;
}
void free_detections(void *dets, int n) { free(dets); }
void do_nms_sort(void *dets, int total, int classes, float thresh) {}
void diounms_sort(void *dets, int total, int classes, float thresh, int kind, float beta1) {}
"""
