# SPDX-License-Identifier: Apache-2.0
"""The live page and the report in a real browser, and the server behind the page."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import BEYOND
from click.testing import CliRunner
from helpers import run as command_line
from made_run import EVIL, append, make, row

from pydarknet.cli.report import command as report_command
from pydarknet.engine.detections import Detections
from pydarknet.errors import FileError
from pydarknet.runs.html_report import write_report
from pydarknet.runs.page.server import Page
from pydarknet.runs.state import RunState
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.outputs.web import Web
from pydarknet.streaming.result import Result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "run <b>1")


Serve = Callable[..., Page]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves the page of a folder until the browser has left it, at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda folder, **more: stack.enter_context(Page(folder, port=0, **more))


@pytest.fixture
def page(folder: Path, serve: Serve) -> Page:
    return serve(folder)


def shown(browser: Any, selector: str) -> str:
    """The text of an element as a reader sees it."""
    text = browser.execute_script("return document.querySelector(arguments[0]).innerText", selector)
    return str(text).replace("\u00a0", " ")


def wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.1)


def asked_for(browser: Any) -> list[str]:
    """Addresses of all that the browser has requested."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith(("about:", "chrome:"))]


def visible_sections(browser: Any) -> list[str]:
    script = "return [...document.querySelectorAll('main section:not([hidden])')].map(s => s.id)"
    return list(browser.execute_script(script))


ALL = ["tiles", "findings", "curves", "evaluation", "samples", "machine", "checks", "log", "about"]


def check_content(browser: Any) -> None:
    """Numbers of the made run, and its hostile texts as text."""
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    tiles = shown(browser, "#tiles")
    best = 0.8 * (1 - 2.718281828 ** (-40 / 30))
    assert f"{100 * best:.1f} %" in tiles
    assert "at 40" in tiles
    assert "640 images seen" in tiles
    standing = f"40 of 100 iterations are done; the best mAP@0.5 is {100 * best:.1f} %, at iteration 40."
    assert shown(browser, "#standing") == standing
    assert visible_sections(browser) == ALL
    for place in ("#findings", "#evaluation", "#checks", "#log", "#about"):
        assert EVIL in shown(browser, place), place
    assert browser.execute_script("return window.stolen") is None
    assert shown(browser, "#name") == "run <b>1"
    assert "90.0 %" in shown(browser, "#evaluation")
    charts = browser.execute_script("return document.querySelectorAll('.chart svg path').length")
    assert charts >= 8
    sizes = browser.execute_script("return [...document.querySelectorAll('figure img')].map(i => i.alt)")
    assert len(sizes) == 3


def test_the_live_page(browser: Any, page: Page, folder: Path) -> None:
    """It shows the run, follows it, and sends no requests to other servers."""
    browser.get(page.url)
    check_content(browser)
    assert "lost" in shown(browser, "#status")  # no process holds the folder
    append(folder, *(row(i) for i in range(41, 51)))
    with (folder / "train.log").open("a") as file:
        file.write("a new line\n")
    wait(lambda: "50 / 100" in shown(browser, "#tiles"), "new rows are shown without a reload")
    workers = [{"load": 0.1, "compute": 0.85, "wait": 0.05}, {"load": 0.1, "compute": 0.8, "wait": 0.1}]
    append(folder, row(51, map=0.1, stall=0.15, workers=workers))
    wait(lambda: "51 / 100" in shown(browser, "#tiles"), "and others after them")
    assert shown(browser, "#standing").endswith("at iteration 50; 1 evaluation since then measured less.")
    tiles = shown(browser, "#tiles")
    assert "0.8 s per iteration, 15.0 % waiting for images" in tiles
    assert "computed + waited in the last iteration: 0.85 + 0.05 s, 0.8 + 0.1 s" in tiles
    wait(lambda: "a new line" in shown(browser, "#log"), "new lines are shown")
    urls = asked_for(browser)
    assert f"{page.url}state.json" in urls
    assert all(url.startswith(page.url) for url in urls)


def test_the_page_shows_that_the_training_is_gone(browser: Any, folder: Path) -> None:
    with Page(folder, port=0) as served:
        browser.get(served.url)
        wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    wait(lambda: "Not reachable" in shown(browser, "#stamp"), "the end of the server is noticed")
    assert "40 / 100" in shown(browser, "#tiles")
    browser.get("about:blank")
    browser.get_log("browser")  # that the connection was refused


def test_the_page_shows_that_the_run_cannot_be_read(
    browser: Any, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And shows it again as soon as it can."""

    def broken(self: RunState) -> None:
        raise OSError("stale file handle")

    browser.get(page.url)
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    with monkeypatch.context() as patch:
        patch.setattr(RunState, "read", broken)
        wait(lambda: "500 OSError" in shown(browser, "#stamp"), "the error is shown")
        assert "40 / 100" in shown(browser, "#tiles")
    wait(lambda: "Updated" in shown(browser, "#stamp"), "the page continues")
    browser.get_log("browser")  # that the server answered 500


def test_narrow_screens_and_zoom_need_no_sideways_scrolling(browser: Any, page: Page, narrow: None) -> None:
    browser.get(page.url)
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    assert browser.execute_script(BEYOND) == 0


@pytest.mark.parametrize("classes", [3, 6, 10])
def test_a_confusion_table_is_not_cut_off(browser: Any, page: Page, classes: int) -> None:
    browser.set_window_size(1280, 960)
    browser.get(page.url)
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    script = """
        const names = [...Array(arguments[0]).keys()].map((i) => `class ${i}`).concat("background");
        const made = confusionCard({ confusion: { names, counts: names.map(() => names.map(() => 5)) } });
        document.querySelector(".parts").append(made);
        const box = made.querySelector(".scroll");
        return box.scrollWidth - box.clientWidth;"""
    assert browser.execute_script(script, classes) == 0


def test_looking_closer(browser: Any, page: Page) -> None:
    """Values appear under the pointer, an image is enlarged by a click and closed by the next."""
    browser.get(page.url)
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    place = """const box = document.querySelector('.chart svg').getBoundingClientRect();
        const at = {clientX: box.right - 12, clientY: box.top + 20, bubbles: true};
        document.querySelector('.chart svg').dispatchEvent(new PointerEvent('pointermove', at));"""
    browser.execute_script(place)
    assert shown(browser, ".tip").splitlines()[0] == "iteration 40"
    assert f"average {1.1 * (900 * 2.718281828 ** (-40 / 12) + 3):.3g}" in shown(browser, ".tip")
    browser.execute_script("document.querySelector('figure button').click()")
    assert browser.execute_script("return document.querySelector('#zoom').open")
    browser.execute_script("document.querySelector('#zoom').click()")
    assert not browser.execute_script("return document.querySelector('#zoom').open")


def curve(browser: Any, chart: int = 0) -> list[str]:
    """The paths of a chart's curves."""
    script = "return [...document.querySelectorAll('#curves .card')[arguments[0]].querySelectorAll('path')]"
    return list(browser.execute_script(f"{script}.map(p => p.getAttribute('d'))", chart))


def test_hiding_and_smoothing_curves(browser: Any, page: Page) -> None:
    """A click on a name hides its curve and shows it again; smoothing changes lines, not measured points."""
    browser.get(page.url)
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    every = curve(browser)
    click = "document.querySelector('#curves .legend button').click()"
    browser.execute_script(click)
    assert len(curve(browser)) == len(every) - 1
    assert browser.execute_script(
        "return document.querySelector('#curves .legend .off').innerText"
    ).startswith("each iteration")
    browser.execute_script(click)
    assert curve(browser) == every
    points = curve(browser, 1)
    browser.execute_script(
        "const s = document.querySelector('#smooth'); s.value = 0.9; s.dispatchEvent(new Event('input'))"
    )
    assert curve(browser)[1] != every[1]
    assert curve(browser, 1) == points
    found = browser.execute_script("return smoothed([1, null, 3], 0.5)")
    assert found == [1, None, pytest.approx((1 * 0.25 + 3 * 0.5) / 0.75)]


def axis(browser: Any, way: str) -> list[str]:
    """Numbers at the axis of the loss chart."""
    script = """
        const choice = document.querySelector('#axis'), card = document.querySelector('#curves .card');
        choice.value = arguments[0];
        choice.dispatchEvent(new Event('input'));
        return [...card.querySelectorAll('text[text-anchor=end]')].map(text => text.textContent)"""
    return list(browser.execute_script(script, way))


def test_the_axis_of_the_loss(browser: Any, page: Page, folder: Path) -> None:
    """Logarithmic by itself where values span a factor of more than 30, otherwise as the reader chooses."""
    browser.get(page.url)
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    steps = [float(text) for text in axis(browser, "log")]
    assert {b / a for a, b in itertools.pairwise(steps)} <= {2, 2.5, 10}
    linear = axis(browser, "linear")
    assert linear[:3] == ["0", "200", "400"]
    assert axis(browser, "auto") == linear  # from 914 to 39
    append(folder, *(row(i) for i in range(41, 61)))
    wait(lambda: "60 / 100" in shown(browser, "#tiles"), "new rows are shown")
    assert axis(browser, "auto") == axis(browser, "log") != linear  # to 10


def test_dragging_enlarges_a_part(browser: Any, page: Page) -> None:
    """All charts then show these iterations, and a double click shows all of them again."""
    browser.get(page.url)
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    pointer = """
        const svg = document.querySelector('#curves svg'), box = svg.getBoundingClientRect();
        const wide = box.right - box.left - 56;  // between the left and the right border of the plot
        for (const [type, share] of arguments[0]) {
          const at = { clientX: box.left + 46 + share * wide, clientY: box.top + 50, bubbles: true };
          svg.dispatchEvent(new PointerEvent(type, at));
        }
        const texts = document.querySelector('#curves svg').querySelectorAll('text[text-anchor=middle]');
        return [...texts].map(text => text.textContent)"""
    every = browser.execute_script(pointer, [])
    assert (every[0], every[-1]) == ("0", "40")
    some = browser.execute_script(pointer, [["pointerdown", 0.5], ["pointermove", 0.6], ["pointerup", 0.75]])
    assert (some[0], some[-1]) == ("20", "30")
    assert browser.execute_script(pointer, [["pointerdown", 0.5], ["pointerup", 0.502]]) == some  # a click
    assert browser.execute_script(pointer, [["dblclick", 0.5]]) == every


def test_the_machine_is_folded(browser: Any, page: Page) -> None:
    """Its charts are drawn when they are opened; validation images come before them."""
    browser.get(page.url)
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    charts = "return document.querySelectorAll('#machine svg').length"
    assert browser.execute_script(charts) == 0
    browser.execute_script("document.querySelector('#machine details').open = true")
    wait(lambda: browser.execute_script(charts) >= 2, "the charts are drawn")
    assert "Images per second" in shown(browser, "#machine")
    sections = visible_sections(browser)
    assert sections.index("samples") < sections.index("machine")


def test_several_runs_in_one_chart(browser: Any, folder: Path, tmp_path: Path, serve: Serve) -> None:
    other = make(tmp_path / "other <i>")
    browser.get(serve(folder, others=[other]).url)
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the numbers are shown")
    legend = shown(browser, "#curves")
    assert "other <i>: average" in legend
    assert "other <i>: mAP@0.5" in legend
    average, foreign = curve(browser)[1], curve(browser)[-1]
    assert foreign == average  # the same numbers, so the same line


def test_the_report_needs_nothing_else(browser: Any, folder: Path, tmp_path: Path) -> None:
    """One file, elsewhere, without the run and without network."""
    target = write_report(folder, tmp_path / "elsewhere" / "r.html")
    folder.rename(tmp_path / "gone")
    browser.get(target.as_uri())
    check_content(browser)
    sources = browser.execute_script("return [...document.images].map(i => i.src).filter(Boolean)")
    assert len(sources) == 3
    assert all(source.startswith("data:image/") for source in sources)
    urls = [url for url in asked_for(browser) if not url.startswith("data:")]
    assert urls == [target.as_uri()]


def test_an_empty_folder_is_a_page_that_waits(browser: Any, tmp_path: Path, serve: Serve) -> None:
    browser.get(serve(tmp_path / "later").url)
    wait(lambda: shown(browser, "#status") == "preparing", "the page waits")
    make(tmp_path / "later")
    wait(lambda: "40 / 100" in shown(browser, "#tiles"), "the run is shown when it comes")


# -- the server


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_read_only(page: Page, method: str) -> None:
    status, _, headers = fetch(page.url, method)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"


def test_head_has_no_body(page: Page) -> None:
    status, body, headers = fetch(page.url, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 500


@pytest.mark.parametrize(
    "path",
    [
        "run.json",
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "//etc/passwd",
        "server.py",
        "lock",
    ],
)
def test_nothing_but_the_table_is_served(page: Page, folder: Path, path: str) -> None:
    (folder.parent / "secret.txt").write_text("secret")
    assert fetch(page.url + path)[0] == 404


def test_headers_forbid_other_sources(page: Page) -> None:
    headers = fetch(page.url)[2]
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_names_of_others_are_refused_on_this_machine(page: Page) -> None:
    """Otherwise any site could have its own name point here and read the run."""
    assert fetch(page.url, Host="evil.example:80")[0] == 403
    assert fetch(page.url, Host="localhost:1")[0] == 200


def test_unchanged_is_not_sent_again(page: Page) -> None:
    tag = fetch(page.url + "val_0.jpg")[2]["ETag"]
    assert fetch(page.url + "val_0.jpg", **{"If-None-Match": tag})[:2] == (304, b"")


def test_a_port_in_use(page: Page, folder: Path) -> None:
    port = int(page.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(FileError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*in use"):
        Page(folder, port=port)


def test_clients_that_hang_hold_nothing_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing does not wait for a client that never sends its request."""
    monkeypatch.setattr("pydarknet.system.http_server.Handler.timeout", 600)
    served = Page(folder, port=0)
    with socket.create_connection(("127.0.0.1", int(served.url.rstrip("/").rpartition(":")[2]))):
        wait(lambda: served._server.clients.taken == 1, "the connection was accepted")
        closing = threading.Thread(target=served.close, daemon=True)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()


def test_too_many_clients(page: Page) -> None:
    """A client that opens connections without end blocks others for a while, and takes no more memory."""
    busy = page._server.clients
    taken = 0
    while busy.enter("127.0.0.1"):
        taken += 1
    assert fetch(page.url)[0] == 503
    for _ in range(taken):
        busy.leave("127.0.0.1")
    assert fetch(page.url)[0] == 200


def test_the_page_of_detections(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its script and style pass its own policy, also behind a token; the browser logs no error."""
    monkeypatch.setenv("PYDARKNET_HTTP_TOKEN", "secret")
    empty = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int), (), (64, 48))
    web = Web("0.0.0.0", 0)
    frame = Frame(np.zeros((48, 64, 3), np.uint8), "cam", still=False)
    stop = threading.Event()

    def publish() -> None:
        while not stop.wait(0.05):
            web.write(Result(frame, empty, 0, 0), lambda: frame.image)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        port = web._server.server_address[1]
        browser.get(f"http://127.0.0.1:{port}/?token=secret")
        script = "return document.querySelector('img').naturalWidth"
        wait(lambda: browser.execute_script(script) == 64, "the stream is shown")
        colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert colour == "rgb(17, 17, 17)"
        heard = "const s = new EventSource('events'); s.onmessage = e => arguments[0](e.data)"
        assert json.loads(browser.execute_async_script(heard))["objects"] == []
        browser.get("about:blank")
    finally:
        stop.set()
        thread.join()
        web.close()


# -- the commands


def test_report_command(folder: Path) -> None:
    result = CliRunner().invoke(report_command, [str(folder)])
    assert result.output.strip() == str(folder / "report.html")
    assert "</html>" in (folder / "report.html").read_text()


def test_report_of_no_run(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    assert command_line(monkeypatch, "report", tmp_path) == 1
    assert "is not a run folder" in capsys.readouterr().err


def test_watch_on_a_bad_address(folder: Path, monkeypatch: Any, capsys: Any) -> None:
    assert command_line(monkeypatch, "watch", folder, "--http", "here") == 1
    assert "expected a port" in capsys.readouterr().err
