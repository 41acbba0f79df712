# SPDX-License-Identifier: Apache-2.0
"""Take the documentation's screenshots of the page of a run and of its server: wide, narrow, light, dark.

    apt install chromium chromium-driver
    pip install selenium
    pydarknet demo --out /tmp/demo && mv /tmp/demo/run /tmp/demo/digits     images that may be published
    python tools/screenshots.py /tmp/demo/digits --image /tmp/demo/data/valid/0000.png

Writes watch-light.png and watch-dark.png (the first screen), watch-phone.png, the same of serve-*.png, and
report.jpg (the whole report, reduced), to docs/images or --out.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from pydarknet import Network
from pydarknet.runs.html_report import write_report
from pydarknet.runs.page.server import Page
from pydarknet.serving.server import InferenceServer
from pydarknet.serving.service import Settings

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
MOST = 8000  # pixels of height of an image


@contextmanager
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--hide-scrollbars")
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def take(
    driver: Any, url: str, width: int, height: int | None, *, dark: bool = False, image: Path | None = None
) -> np.ndarray:
    """A screenshot of a page, in which an image was chosen; of its whole height if none is given."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": width, "height": height or 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(url)
    if image is not None:
        driver.find_element("css selector", "#file").send_keys(str(image))
    time.sleep(2)
    whole = driver.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height or min(whole, MOST), "scale": 1}
    found = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return cv2.imdecode(np.frombuffer(base64.b64decode(found["data"]), np.uint8), cv2.IMREAD_COLOR)


def three(driver: Any, name: str, url: str, image: Path | None = None) -> dict[str, np.ndarray]:
    """The first screen of a page: light, dark, and on a phone."""
    return {
        f"{name}-light.png": take(driver, url, 1280, 960, image=image),
        f"{name}-dark.png": take(driver, url, 1280, 960, dark=True, image=image),
        f"{name}-phone.png": take(driver, url, 390, 844, image=image),
    }


@contextmanager
def served(run: Path) -> Iterator[str]:
    """Address of a server of the best weights of a run."""
    loaded = threading.Event()
    settings = Settings(load=lambda: Network(run), detecting={"thresh": 0.25})
    server = InferenceServer(settings, port=0, ready=lambda _: loaded.set())
    thread = threading.Thread(target=server.run)
    thread.start()
    loaded.wait()
    yield server.url
    server.stop()
    thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--image", type=Path, required=True, help="image to try on the page of the server")
    parser.add_argument("--out", type=Path, default=IMAGES)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (
        browser() as driver,
        Page(arguments.run, port=0) as page,
        served(arguments.run) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        report = write_report(arguments.run, Path(folder) / "report.html")
        whole = take(driver, report.as_uri(), 1280, None)
        pictures = {
            **three(driver, "watch", page.url),
            **three(driver, "serve", server, arguments.image.absolute()),
            "report.jpg": cv2.resize(whole, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA),
        }
    best = {".png": [cv2.IMWRITE_PNG_COMPRESSION, 9], ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 75]}
    for name, picture in pictures.items():
        cv2.imwrite(str(arguments.out / name), picture, best[Path(name).suffix])
        print(arguments.out / name)


if __name__ == "__main__":
    main()
