# SPDX-License-Identifier: Apache-2.0
"""Videos behind web pages (YouTube, Twitch, Vimeo, ...), by the yt-dlp package."""

from __future__ import annotations

from pydarknet.errors import DataError
from pydarknet.system.extras import require


def resolve(url: str) -> tuple[str, bool]:
    """Find the video of a web page.

    Args:
        url: address of the page.

    Returns:
        Address of the video or stream, and whether it is live.

    Raises:
        MissingExtra: yt-dlp is not installed.
        DataError: the page cannot be read or has no video.
    """
    yt_dlp = require("yt_dlp", "youtube", "yt-dlp")
    options = {"quiet": True, "no_warnings": True, "noplaylist": True, "format": "best[ext=mp4]/best"}
    try:
        with yt_dlp.YoutubeDL(options) as downloader:
            found = downloader.extract_info(url, download=False)
    except yt_dlp.utils.YoutubeDLError as error:
        raise DataError(f"{url}: {error}") from None
    if not found or not found.get("url"):
        raise DataError(f"{url}: no video found at this address")
    return str(found["url"]), bool(found.get("is_live"))
