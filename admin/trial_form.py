"""The form of a trial: a data file and the text of a changed mapping; both are gone when the request is over."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import msgspec
from litestar import Request
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency

from admin.forms import FORM_FIELD, FORM_HEADER
from admin.visits import Visit
from hub.errors import BadRequest, TooLarge
from hub.exchange.mapping_trial import LARGEST_BYTES
from hub.settings import Settings
from mappings.trial import LONGEST_BYTES

_PIECE = 1 << 20


class TrialForm(msgspec.Struct, kw_only=True):
    """``path``: the data file for as long as the request lasts; ``mapping``: the changed text as it was sent."""

    path: Path
    mapping: str = ""
    size: int = 0
    sha256: str = ""


async def trial_form(
    request: Request[Any, Visit, Any], settings: NamedDependency[Settings]
) -> AsyncGenerator[TrialForm, None]:
    """Dependency: token first, then the text, then the file onto the hub's own disk, private to it."""
    given = await request.form()
    token = given.get(FORM_FIELD)
    request.auth.check_token(token if isinstance(token, str) else request.headers.get(FORM_HEADER))
    folder = settings.files / "tmp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix="arriving-") as file:
        form = TrialForm(path=Path(file.name), mapping=await _text_in(given.get("changed"), given.get("mapping")))
        await _take_file(given.get("file"), form, file)
        file.flush()
        yield form


async def _text_in(uploaded: object, typed: object) -> str:
    """The uploaded mapping, if there is one, else what stands in the field."""
    if isinstance(uploaded, UploadFile) and uploaded.filename:
        content = await uploaded.read(LONGEST_BYTES + 1)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadRequest("映射文件须为 UTF-8。 A mapping is UTF-8.", mapping="") from None
    return typed.replace("\r\n", "\n") if isinstance(typed, str) else ""


async def _take_file(given: object, form: TrialForm, file: IO[bytes]) -> None:
    if not isinstance(given, UploadFile) or not given.filename:
        return
    digest = hashlib.sha256()
    while piece := await given.read(_PIECE):
        form.size += file.write(piece)
        digest.update(piece)
        if form.size > LARGEST_BYTES:
            raise TooLarge(f"> {LARGEST_BYTES}")
    form.sha256 = digest.hexdigest()
