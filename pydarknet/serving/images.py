# SPDX-License-Identifier: Apache-2.0
"""Images in request bodies (raw, in a form, as base64 in JSON), checked before they are decoded."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

import msgspec

from pydarknet.engine.image_header import header_size
from pydarknet.engine.images import Pixels, decode
from pydarknet.errors import DataError
from pydarknet.serving.limits import PARTS, Refused

#: Formats that are accepted: those whose headers state the size, so that no image is decoded to learn it.
FORMATS = {b"\xff\xd8": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"RIFF": "WebP", b"BM": "BMP"}
FIELDS = ("body", "file")  # of a form


class ImageRequest(msgspec.Struct):
    """A JSON body.

    Attributes:
        image: the bytes of an image file in base64, also in lines, and also as a data URL.
    """

    image: str


def file_of(body: bytes, content_type: str) -> bytes:
    """The image file in a request body.

    Args:
        body: of the request.
        content_type: its header; of any type but those of forms and JSON, the body itself is the file.

    Raises:
        Refused: 400, the body is not a form or JSON of the expected content.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _file_of_form(body, content_type)
    if kind == "application/json" or kind.endswith("+json"):
        return _file_of_json(body)
    return body


def check(data: bytes, most_pixels: int) -> tuple[int, int]:
    """Width and height of an image file, from its header.

    Raises:
        Refused: 415 for another format, 413 for too many pixels, 400 for a damaged header.
    """
    if not data:
        raise Refused(400, "the body is empty; expected an image")
    if _format(data) is None:
        expected = ", ".join(FORMATS.values())
        raise Refused(
            415,
            f"the body is not an image; expected {expected}: raw, "
            "in a form (Content-Type: multipart/form-data), "
            "or as base64 in JSON (Content-Type: application/json)",
        )
    try:
        width, height = header_size(data)
    except DataError as error:
        raise Refused(400, f"the image cannot be decoded: {error}") from None
    if width * height > most_pixels:
        raise Refused(
            413, f"the image has {width}x{height} pixels; expected at most {most_pixels / 1e6:g} megapixels"
        )
    return width, height


def value_bytes(data: bytes) -> int:
    """Bytes of a decoded value of a checked image: 2 of a PNG with 16 bits, else 1."""
    return 2 if _format(data) == "PNG" and data[24:25] == b"\x10" else 1  # the byte after width and height


def pixels_of(data: bytes, channels: int) -> Pixels:
    """Decode a checked image; see :func:`pydarknet.engine.images.decode`.

    Raises:
        Refused: 400, it is damaged or has not the network's channels.
    """
    try:
        return decode(data, channels, "the image")
    except DataError as error:
        raise Refused(400, str(error)) from None


def _format(data: bytes) -> str | None:
    return next((name for magic, name in FORMATS.items() if data.startswith(magic)), None)


def _file_of_json(body: bytes) -> bytes:
    try:
        text = msgspec.json.decode(body, type=ImageRequest).image
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(400, f'the JSON cannot be read: {error}; expected {{"image": "BASE64"}}') from None
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text.encode().translate(None, b" \t\r\n"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"the value of 'image' is not base64: {error}") from None


@dataclass
class _Form:
    """Receiver of a multipart parser's events; keeps the file alone."""

    body: bytes = b""
    file: bytearray | None = None
    parts: int = 0
    wanted: bool = False
    header: list[bytes] = field(default_factory=lambda: [b"", b""])

    def on_part_begin(self) -> None:
        self.parts, self.wanted = self.parts + 1, False
        if self.parts > PARTS:
            raise Refused(400, f"the form has more than {PARTS} parts")

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.header[0] += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.header[1] += data[start:end]

    def on_header_end(self) -> None:
        from python_multipart.multipart import parse_options_header

        name, value = self.header
        self.header = [b"", b""]
        if name.lower() == b"content-disposition":
            given = parse_options_header(value)[1].get(b"name", b"").decode("utf-8", "replace")
            self.wanted = given in FIELDS and self.file is None
            if self.wanted:
                self.file = bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self.wanted and self.file is not None:
            self.file += data[start:end]


def _file_of_form(body: bytes, content_type: str) -> bytes:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    form, ended = _Form(), []
    names = ("on_part_begin", "on_header_field", "on_header_value", "on_header_end", "on_part_data")
    events = {name: getattr(form, name) for name in names}
    try:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise Refused(400, "the Content-Type of the form has no boundary")
        events["on_end"] = lambda: ended.append(True)
        parser = MultipartParser(boundary, events)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise Refused(400, f"the form cannot be read: {error}") from None
    if not ended:
        raise Refused(400, "the form ends before its last boundary")
    if form.file is None:
        raise Refused(400, f"the form has no file; expected a field {' or '.join(FIELDS)}")
    return bytes(form.file)
