# SPDX-License-Identifier: Apache-2.0
"""Time one runtime on one network, in its own process and environment; prints one JSON line.

usage: runtimes.py RUNTIME MODEL BATCH WIDTH HEIGHT PRECISION SECONDS THREADS

MODEL is a path without suffix: MODEL.cfg, MODEL.weights, MODEL.onnx, MODEL.mnn, MODEL.ncnn.param and .bin
as inference.py makes them. Every runtime gets the same float32 input (n, 3, h, w) and returns the heads'
outputs; decoding of boxes and NMS are not timed.
Imports are inside the functions because each environment has one runtime only.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable

Run = Callable[[], object]


def pydarknet_run(model: str, batch: int, size: tuple[int, int], precision: str, threads: int) -> Run:
    import numpy as np

    import pydarknet

    net = pydarknet.Network(
        f"{model}.cfg", f"{model}.weights", batch=batch, precision=precision, threads=threads
    )
    width, height = size
    x = np.random.default_rng(0).random((batch, 3, height, width), np.float32)
    return lambda: net.predict(x)


def opencv_run(model: str, batch: int, size: tuple[int, int], precision: str, threads: int) -> Run:
    import cv2
    import numpy as np

    if precision != "fp32":
        raise SystemExit("OpenCV DNN has no bf16 on the CPU")
    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromDarknet(f"{model}.cfg", f"{model}.weights")
    names = net.getUnconnectedOutLayersNames()
    width, height = size
    x = np.random.default_rng(0).random((batch, 3, height, width), np.float32)

    def run() -> object:
        net.setInput(x)
        return net.forward(names)

    return run


def onnxruntime_run(model: str, batch: int, size: tuple[int, int], precision: str, threads: int) -> Run:
    import numpy as np
    import onnxruntime

    if precision != "fp32":
        raise SystemExit("ONNX Runtime's CPU kernels have no bf16 convolution")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(f"{model}.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    width, height = size
    x = np.random.default_rng(0).random((batch, 3, height, width), np.float32)
    return lambda: session.run(None, {name: x})


def openvino_run(model: str, batch: int, size: tuple[int, int], precision: str, threads: int) -> Run:
    import numpy as np
    import openvino

    core = openvino.Core()
    width, height = size
    network = core.read_model(f"{model}.onnx")
    network.reshape([batch, 3, height, width])
    hint = openvino.Type.f32 if precision == "fp32" else openvino.Type.bf16
    compiled = core.compile_model(
        network,
        "CPU",
        {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"},
    )
    request = compiled.create_infer_request()
    x = np.random.default_rng(0).random((batch, 3, height, width), np.float32)
    return lambda: request.infer({0: x})


def mnn_run(model: str, batch: int, size: tuple[int, int], precision: str, threads: int) -> Run:
    import MNN
    import numpy as np

    if precision != "fp32":
        raise SystemExit("MNN has no bf16 on x86 processors without its own build")
    interpreter = MNN.Interpreter(f"{model}.mnn")
    session = interpreter.createSession({"backend": "CPU", "numThread": threads, "precision": "high"})
    width, height = size
    shape = (batch, 3, height, width)
    tensor = interpreter.getSessionInput(session)
    interpreter.resizeTensor(tensor, shape)
    interpreter.resizeSession(session)
    x = np.random.default_rng(0).random(shape, np.float32)
    source = MNN.Tensor(shape, MNN.Halide_Type_Float, x, MNN.Tensor_DimensionType_Caffe)

    def run() -> object:
        tensor.copyFrom(source)
        interpreter.runSession(session)
        return [output.getNumpyData() for output in interpreter.getSessionOutputAll(session).values()]

    return run


def ncnn_run(model: str, batch: int, size: tuple[int, int], precision: str, threads: int) -> Run:
    import ncnn
    import numpy as np

    if precision != "fp32":
        raise SystemExit("ncnn stores bf16 but does not compute in it on x86 processors")
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(f"{model}.ncnn.param") or net.load_model(f"{model}.ncnn.bin"):
        raise SystemExit("ncnn cannot read the network")
    outputs = net.output_names()
    width, height = size
    images = np.random.default_rng(0).random((batch, 3, height, width), np.float32)

    def run() -> object:  # ncnn has no batches
        found = []
        for x in images:
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(x))
            found.append([np.array(extractor.extract(name)[1]) for name in outputs])
        return found

    return run


RUNTIMES = {
    "pydarknet": pydarknet_run,
    "opencv": opencv_run,
    "onnxruntime": onnxruntime_run,
    "openvino": openvino_run,
    "mnn": mnn_run,
    "ncnn": ncnn_run,
}


def main() -> None:
    runtime, model, batch, width, height, precision, seconds, threads = sys.argv[1:]
    os.environ["OMP_NUM_THREADS"] = threads
    begin = time.perf_counter()
    run = RUNTIMES[runtime](model, int(batch), (int(width), int(height)), precision, int(threads))
    run()
    first = time.perf_counter() - begin
    run()
    times: list[float] = []
    end = time.perf_counter() + float(seconds)
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"times": times, "load_to_first": first, "peak_rss": peak}))


if __name__ == "__main__":
    main()
