"""A form with a file is read from the wire to disk as it arrives; its fields come first, its token is checked last."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import msgspec
from litestar import Request
from litestar.di import NamedDependency
from multipart import MultipartError, MultipartSegment, PushMultipartParser  # type: ignore[import-untyped]

from admin.visits import Visit
from hub.errors import BadRequest
from hub.settings import Settings

FORM_FIELD = "token"
FORM_HEADER = "x-form-token"
_LONGEST_FIELD = 4096
_MOST_FIELDS = 20


class UploadForm(msgspec.Struct, kw_only=True):
    """A form's fields and its one file; the file is gone when the request is over."""

    path: Path
    fields: dict[str, str] = msgspec.field(default_factory=dict)
    file_name: str = ""
    size: int = 0


async def upload_form(
    request: Request[Any, Visit, Any], settings: NamedDependency[Settings]
) -> AsyncGenerator[UploadForm, None]:
    """Dependency: the form, its file in the home folder so that it is on the same disk as what is kept."""
    folder = settings.files / "tmp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix="arriving-") as file:
        form = UploadForm(path=Path(file.name))
        await _read_parts(request, form, file)
        file.flush()
        request.auth.check_token(form.fields.get(FORM_FIELD) or request.headers.get(FORM_HEADER))
        yield form


async def plain_form(request: Request[Any, Visit, Any]) -> dict[str, str]:
    """Dependency: a small form without a file, its token checked."""
    fields = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    request.auth.check_token(fields.get(FORM_FIELD) or request.headers.get(FORM_HEADER))
    return fields


async def _read_parts(request: Request[Any, Visit, Any], form: UploadForm, file: IO[bytes]) -> None:
    kind, options = request.content_type
    if kind != "multipart/form-data" or "boundary" not in options:
        raise BadRequest("multipart/form-data")
    try:
        with PushMultipartParser(options["boundary"], max_segment_count=_MOST_FIELDS) as parser:
            reader = _PartReader(form, file)
            async for chunk in request.stream():
                for event in parser.parse(chunk):
                    reader.take(event)
    except MultipartError as wrong:
        raise BadRequest("multipart/form-data") from wrong


class _PartReader:
    """Puts each part where it belongs: text into the fields, the file onto disk."""

    def __init__(self, form: UploadForm, file: IO[bytes]) -> None:
        self._form, self._file = form, file
        self._part: MultipartSegment | None = None
        self._text = b""

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        if isinstance(event, MultipartSegment):
            self._part, self._text = event, b""
            self._form.file_name = event.filename or self._form.file_name
        elif event is None:
            self._end_part()
        elif self._part is not None and self._part.filename is not None:
            self._form.size += self._file.write(event)
        else:
            self._add_text(event)

    def _add_text(self, text: bytes | bytearray) -> None:
        self._text += text
        if len(self._text) > _LONGEST_FIELD:
            raise BadRequest("form field")

    def _end_part(self) -> None:
        if self._part is not None and self._part.filename is None and self._part.name:
            self._form.fields[self._part.name] = self._text.decode("utf-8", "replace")
        self._part = None
