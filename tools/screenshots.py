# SPDX-License-Identifier: Apache-2.0
"""Take the documentation's screenshots of the page of a run: wide and narrow, light and dark.

    apt install chromium chromium-driver
    pip install selenium
    python tools/screenshots.py runs/bccd                 into docs/images
    python tools/screenshots.py runs/bccd --out /tmp/x    into another folder

Writes watch-light.png and watch-dark.png (the first screen), watch-phone.png, and report.png (the whole
report, reduced).
"""

from __future__ import annotations

import argparse
import base64
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from pydarknet.runs.html_report import write_report
from pydarknet.runs.page.server import Page

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


def take(driver: Any, url: str, width: int, height: int | None, *, dark: bool = False) -> np.ndarray:
    """A screenshot of a page; of its whole height if none is given."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": width, "height": height or 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(url)
    time.sleep(2)
    whole = driver.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height or min(whole, MOST), "scale": 1}
    found = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return cv2.imdecode(np.frombuffer(base64.b64decode(found["data"]), np.uint8), cv2.IMREAD_COLOR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=IMAGES)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with browser() as driver, Page(arguments.run, port=0) as page, tempfile.TemporaryDirectory() as folder:
        report = write_report(arguments.run, Path(folder) / "report.html")
        whole = take(driver, report.as_uri(), 1280, None)
        pictures = {
            "watch-light.png": take(driver, page.url, 1280, 960),
            "watch-dark.png": take(driver, page.url, 1280, 960, dark=True),
            "watch-phone.png": take(driver, page.url, 390, 844),
            "report.png": cv2.resize(whole, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA),
        }
    for name, picture in pictures.items():
        cv2.imwrite(str(arguments.out / name), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        print(arguments.out / name)


if __name__ == "__main__":
    main()
