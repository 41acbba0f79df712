# SPDX-License-Identifier: Apache-2.0
"""Requests that are as they should be: bodies, forms of the answer, addresses, loading, handlers."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import httpx
import numpy as np
import pytest
from served import Serve, Served, wait

from pydarknet import Network
from pydarknet.serving import service
from pydarknet.serving.answers import COCO, DARKNET, JPEG
from pydarknet.serving.images import pixels_of
from pydarknet.serving.service import Settings

Slowed = Callable[[Callable[[int], object]], object]


def test_all_bodies_have_the_answer_of_the_network(
    served: Served, png: bytes, tiny: Callable[..., Network]
) -> None:
    with tiny() as network:
        expected = network.detect(png).to_records()
    assert len(expected) == 2
    encoded = base64.b64encode(png).decode()
    other = ("note.txt", b"--x\r\n", "text/plain")
    answers = [
        served.detect(png),
        served.detect(png, headers={"content-type": "image/png"}),
        served.detect(png, headers={"content-type": "application/x-www-form-urlencoded"}),  # curl -d
        served.client.post("/models/model/invoke", files={"other": other, "body": ("a.png", png)}),
        served.client.post("/v1/detect", files=[("file", ("a.png", png)), ("file", ("b.png", b"x"))]),
        served.client.post("/invocations", json={"image": encoded}),
        served.client.post("/invocations", json={"image": base64.encodebytes(png).decode()}),  # in lines
        served.client.post("/invocations", json={"image": f"data:image/png;base64,{encoded}", "id": 3}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == expected


def test_accept_chooses_the_form(served: Served, png: bytes, tiny: Callable[..., Network]) -> None:
    with tiny() as network:
        found = network.detect(png)
    wanted = f"text/html, {COCO};q=0.4, {DARKNET};q=0.8"
    answer = served.detect(png, headers={"accept": wanted})
    assert answer.headers["content-type"] == DARKNET
    assert answer.json() == json.loads(found.to_json())
    answer = served.detect(png, headers={"accept": COCO})
    assert [entry["bbox"] for entry in answer.json()] == [[2, 2, 2, 2], [0, 2, 2, 2]]
    answer = served.detect(png, headers={"accept": JPEG})
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), 1).shape == (4, 4, 3)
    assert served.detect(png, headers={"accept": "*/*;q=0.1"}).json() == found.to_records()
    answer = served.detect(png, headers={"accept": "application/json;q=0, text/html"})
    assert answer.status_code == 406
    assert DARKNET in answer.json()["error"]


def test_the_threshold_is_that_of_each_request(served: Served, png: bytes) -> None:
    """Also when requests of several are in one batch."""
    shares = [0.25, 0.5, 0.8, 0.5, 0.01] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda thresh: served.detect(png, params={"thresh": thresh}), shares))
    for thresh, answer in zip(shares, answers, strict=True):
        found = [one["confidence"] for one in answer.json()]
        assert found[: 2 if thresh < 0.4 else 1 if thresh < 0.7 else 0] == found or thresh == 0.01
        assert all(confidence > thresh for confidence in found)
        assert len(found) == {0.25: 2, 0.5: 1, 0.8: 0}.get(thresh, len(found))
    assert served.detect(png, params={"thresh": "much"}).status_code == 400
    assert served.detect(png, params={"thresh": 0}).status_code == 400
    wrong = served.detect(png, params={"thresh": 0.5, "conf": 0.5})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "found ?conf=, expected ?thresh=")


def test_a_wrong_request_is_told_what_is_expected(served: Served) -> None:
    text = base64.b64encode(b"no image")
    assert "Content-Type: application/json" in served.detect(b'{"image": "%s"}' % text).json()["error"]
    got = served.client.get("/invocations")
    assert (got.status_code, got.json()["error"]) == (405, "method not allowed; expected POST")


def test_images_of_several_clients_are_one_batch(serve: Serve, png: bytes, slowed: Slowed) -> None:
    """While the network is busy with one image, others come, and are taken together."""
    sizes: list[int] = []
    go = threading.Event()

    def before(images: int) -> None:
        sizes.append(images)
        assert len(sizes) > 1 or go.wait(20)

    served = serve(load=slowed(before))
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(served.detect, png)]
        wait(lambda: sizes == [1])
        answers += [pool.submit(served.detect, png) for _ in range(5)]
        wait(lambda: "pydarknet_waiting_images 5.0" in served.client.get("/metrics").text)
        go.set()
        assert {answer.result().status_code for answer in answers} == {200}
    assert sizes == [1, 4, 1]
    text = served.client.get("/metrics").text
    assert "pydarknet_batch_images_sum 6.0" in text
    assert 'pydarknet_requests_total{code="200",path="/invocations"} 6.0' in text


def test_the_server_answers_during_a_pass(serve: Serve, png: bytes, slowed: Slowed) -> None:
    """Facts about the network are kept: its own wait for the pass."""
    go, running = threading.Event(), threading.Event()
    served = serve(load=slowed(lambda _: (running.set(), go.wait(20))))
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(served.detect, png)]
        assert running.wait(20)
        assert served.client.get("/v1/model").json()["channels"] == 1
        answers.append(pool.submit(served.detect, png))
        wait(lambda: "pydarknet_waiting_images 1.0" in served.client.get("/metrics").text)
        assert not any(answer.done() for answer in answers)
        go.set()
        assert [answer.result().status_code for answer in answers] == [200, 200]


def test_where_images_are_decoded(
    serve: Serve, png: bytes, slowed: Slowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the network while it has no work and the image is small, which saves two changes of thread."""
    threads: list[str] = []

    def noted(data: bytes, channels: int) -> np.ndarray:
        threads.append(threading.current_thread().name.rpartition("_")[0] or "pydarknet-network")
        return pixels_of(data, channels)

    monkeypatch.setattr(service, "pixels_of", noted)
    go = threading.Event()
    served = serve(load=slowed(lambda _: go.wait(20)))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(served.detect, png)
        wait(lambda: len(threads) == 1)
        second = pool.submit(served.detect, png)
        wait(lambda: len(threads) == 2)
        go.set()
        assert first.result().json() == second.result().json()
    large = cv2.imencode(".png", np.zeros((1500, 1500), np.uint8))[1].tobytes()
    assert served.detect(large).status_code == 200
    assert threads == ["pydarknet-network", "pydarknet-decode", "pydarknet-decode"]
    assert served.detect(png[:-20]).status_code == 400  # refused by the network's thread, which continues
    assert len(served.detect(png).json()) == 2
    assert "pydarknet_batch_images_sum 4.0" in served.client.get("/metrics").text


def test_ping_says_when_the_network_is_loaded(serve: Serve, png: bytes, settings: Settings) -> None:
    go = threading.Event()
    served = serve(loading=False, load=lambda: go.wait(20) and settings.load())
    for answer in (served.client.get("/ping"), served.client.get("/v1/model"), served.detect(png)):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
    go.set()
    wait(lambda: served.client.get("/ping").json() == {"status": "ok"})
    assert served.client.head("/ping").status_code == 200
    assert served.client.get("/v1/model").json()["names"] == ["0"]


def test_a_handler_makes_the_answer(serve: Serve, png: bytes) -> None:
    served = serve(handler=lambda found, image, query: {"n": len(found), "at": image.shape, **query})
    assert served.detect(png, params={"who": "me"}).json() == {"n": 2, "at": [4, 4, 1], "who": "me"}
    assert len(served.detect(png, headers={"accept": COCO}).json()) == 2


def test_a_handler_that_fails_is_an_error_of_the_server(
    serve: Serve, png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(handler=lambda found, image, query: 1 / 0)
    answer = served.detect(png)
    assert answer.status_code == 500
    assert answer.json() == {"error": "the server failed: ZeroDivisionError"}
    assert answer.headers["connection"] == "close"  # as the server does, so no client uses it again
    wait(lambda: "ZeroDivisionError" in caplog.text)  # with its traceback, after the answer
    assert served.client.get("/ping").status_code == 200


def test_openapi_describes_every_address(served: Served) -> None:
    described = served.client.get("/openapi.json").json()
    paths = ["/invocations", "/metrics", "/models/model/invoke", "/ping", "/v1/detect", "/v1/model"]
    assert sorted(described["paths"]) == paths
    post = described["paths"]["/v1/detect"]["post"]
    kinds = ["application/json", "image/bmp", "image/jpeg", "image/png", "image/webp", "multipart/form-data"]
    assert sorted(post["requestBody"]["content"]) == kinds
    record = described["components"]["schemas"]["DetectedObject"]["properties"]
    assert list(record) == ["xmin", "ymin", "xmax", "ymax", "confidence", "class", "name"]
    names = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)


def test_every_answer_has_the_headers_of_a_page(served: Served) -> None:
    for answer in (served.client.get("/"), served.client.get("/nowhere"), served.client.post("/ping")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.status_code == 200 or "error" in answer.json()


def test_a_token_is_a_header_or_becomes_a_cookie(serve: Serve, png: bytes) -> None:
    served = serve(token="secret")
    assert served.client.get("/ping").status_code == 200
    for path in ("/", "/metrics", "/v1/model", "/openapi.json"):
        assert served.client.get(path).status_code == 401
    assert served.detect(png).status_code == 401
    assert served.detect(png, headers={"authorization": "Bearer secret"}).status_code == 200
    assert served.detect(png, headers={"authorization": "Bearer wrong"}).status_code == 401
    answer = served.client.get("/", params={"token": "secret"})
    assert answer.status_code == 200
    assert "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
    assert served.detect(png).status_code == 200  # the client keeps cookies


def test_pages_of_other_sites_cannot_use_the_server(served: Served, png: bytes) -> None:
    """Neither by a name that resolves to this machine, nor by a request across sites."""
    assert served.detect(png, headers={"host": "evil.example"}).status_code == 403
    assert served.detect(png, headers={"origin": "https://evil.example"}).status_code == 403
    own = f"http://{served.client.base_url.host}:{served.client.base_url.port}"
    assert served.detect(png, headers={"origin": own}).status_code == 200


def test_the_answer_is_that_of_each_client(served: Served, tiny: Callable[..., Network]) -> None:
    """Batches do not mix up images."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (size, size + 3), np.uint8) for size in range(4, 24)]
    files = [cv2.imencode(".png", image)[1].tobytes() for image in images]
    with tiny() as network, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(served.detect, files))
        for answer, image in zip(answers, images, strict=True):
            assert isinstance(answer, httpx.Response)
            assert answer.json() == network.detect(image).to_records()


def test_answers_are_sent_at_once(served: Served) -> None:
    """Without TCP_NODELAY the second packet of an answer would wait 40 ms for the client's system."""
    served.client.get("/ping")
    (connection, *_) = served.server._server.server_state.connections
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
