# SPDX-License-Identifier: Apache-2.0
"""Plugin of pytest: a headless browser, which shows pages as to a user; its camera is a test pattern."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any

import pytest

_CAMERA = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")

#: Screens on which pages need no sideways scrolling: a phone, and a screen of 1280 x 960 with zoom.
SCREENS = {
    "phone": {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True},
    "zoom-200": {"width": 640, "height": 480, "deviceScaleFactor": 2, "mobile": False},
    "zoom-400": {"width": 320, "height": 240, "deviceScaleFactor": 4, "mobile": False},
}

#: Pixels of a page beyond the right border of the screen.
BEYOND = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium of the system, driven by selenium."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")
    from selenium.webdriver.chrome.service import Service

    binary = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("needs a browser: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", *_CAMERA):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(driver, popen_kw={"start_new_session": True})
    found = webdriver.Chrome(options=options, service=service)
    found.command_executor.client_config.timeout = 120  # seconds; selenium may wait without limit
    yield found
    os.killpg(service.process.pid, signal.SIGKILL)  # they have nothing to save, and quit() may wait
    service.process.wait(60)


@pytest.fixture(params=SCREENS)
def narrow(request: pytest.FixtureRequest, chromium: Any) -> Iterator[None]:
    """The browser has one of the screens."""
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SCREENS[request.param])
    yield
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Leave the page before the fixtures of a test end: a page that asks a server that has ended logs it."""
    if driver := getattr(item, "funcargs", {}).get("browser"):
        driver.get("about:blank")


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """The browser with an empty log, which must have no errors in the end."""
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get_log("performance")
    yield chromium
    assert [entry for entry in chromium.get_log("browser") if entry["level"] != "INFO"] == []
