# SPDX-License-Identifier: Apache-2.0
"""The page of the server in a real browser: an image, a video, a camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import BEYOND
from served import Serve, Served, wait

from pydarknet.engine import selftest
from pydarknet.engine.network import Network


def shown(browser: Any, selector: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0]).innerText", selector))


def choose(browser: Any, path: Path) -> None:
    browser.find_element("css selector", "#file").send_keys(str(path))


def opened(browser: Any, served: Served) -> None:
    browser.get(str(served.client.base_url))
    wait(lambda: shown(browser, "#status") == "ready")


@pytest.fixture
def colour(serve: Serve, settings: Any) -> Served:
    """A server of the self-test's network for images in colour, with a class name that is hostile."""
    cfg = selftest.CFG.replace("channels=1", "channels=3")

    def load() -> Network:
        return Network.parse(cfg, name="tiny.cfg", names=["<img src=x onerror='window.stolen=1'>"])

    return serve(load=load, detecting={"thresh": 0.01})


def test_an_image(browser: Any, served: Served, tmp_path: Path, png: bytes) -> None:
    """Its objects are listed and drawn; a file that is no image is an error; nothing else is asked for."""
    opened(browser, served)
    assert shown(browser, "#name") == "tiny"
    assert "4×4" in shown(browser, "#subtitle")
    (tmp_path / "a.png").write_bytes(png)
    choose(browser, tmp_path / "a.png")
    wait(lambda: "2 objects" in shown(browser, "#time"))
    assert "73.0 %" in shown(browser, "#found")
    assert browser.execute_script("return document.getElementById('view').width") == 4
    browser.execute_script(
        "const t = document.getElementById('thresh'); t.value = 0.5; "
        "t.dispatchEvent(new Event('input')); t.dispatchEvent(new Event('change'))"
    )
    wait(lambda: "1 object," in shown(browser, "#time"))
    assert shown(browser, "#threshold") == "50 %"
    (tmp_path / "b.png").write_bytes(b"no image")
    choose(browser, tmp_path / "b.png")
    wait(lambda: shown(browser, "#error") == "b.png is not an image that this browser can show.")
    gap = "return getComputedStyle(document.querySelector('footer')).paddingTop"
    assert browser.execute_script(gap) == "12px"  # the rule of the footer holds beside that of the width
    addresses = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert all(url.startswith((str(served.client.base_url), "blob:")) for url in addresses)


def test_a_camera_and_its_end(browser: Any, colour: Served) -> None:
    """Frames are sent one after the other until Stop; names are text."""
    opened(browser, colour)
    browser.find_element("css selector", "#camera").click()
    wait(lambda: "object" in shown(browser, "#time"))
    first = shown(browser, "#time")
    wait(lambda: shown(browser, "#time") != first)
    assert shown(browser, "#error") == ""
    browser.find_element("css selector", "#stop").click()
    assert browser.execute_script("return document.getElementById('video').srcObject") is None
    assert browser.execute_script("return window.stolen") is None


def test_a_video(browser: Any, colour: Served, tmp_path: Path) -> None:
    """It is played to its end."""
    import av

    path = tmp_path / "a.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(0, 250, 25):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    opened(browser, colour)
    choose(browser, path)
    wait(lambda: "object" in shown(browser, "#time"))
    assert browser.execute_script("return document.getElementById('view').width") == 64
    wait(lambda: browser.execute_script("return document.getElementById('video').ended"))
    wait(lambda: not browser.find_element("css selector", "#stop").is_displayed())
    assert shown(browser, "#error") == ""


def test_narrow_screens_and_zoom_need_no_sideways_scrolling(
    browser: Any, served: Served, tmp_path: Path, png: bytes, narrow: None
) -> None:
    opened(browser, served)
    (tmp_path / "a.png").write_bytes(png)
    choose(browser, tmp_path / "a.png")
    wait(lambda: "2 objects" in shown(browser, "#time"))
    assert browser.execute_script(BEYOND) == 0


def test_dark_and_light(browser: Any, served: Served) -> None:
    shades = []
    for scheme in ("light", "dark"):
        feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
        opened(browser, served)
        script = "return getComputedStyle(document.body).backgroundColor"
        shades.append(browser.execute_script(script))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert shades == ["rgb(246, 247, 249)", "rgb(18, 21, 26)"]
