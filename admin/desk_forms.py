"""The desks' forms: fields with labels, hints and their errors beside them; nothing is read but the fields shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency, Provide

from admin.forms import plain_form
from admin.language import N_, translator
from admin.pages import show
from admin.visits import Visit
from hub.errors import BadRequest, HubError
from hub.refusals import note_refusal
from hub.registry.permissions import Actor

Asking = Request[Actor, Visit, Any]
Form = NamedDependency[dict[str, str]]
FORM = {"form": Provide(plain_form)}
_EMPTY = N_("请填写此项。")


class Choice(msgspec.Struct, frozen=True):
    """One thing to choose: its value and its words, in the page's language."""

    value: str
    title: str


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field. ``ticks`` are check boxes of one name each, ``<field>-<value>``."""

    name: str
    title: str
    hint: str = ""
    kind: Literal["text", "lines", "date", "choice", "ticks"] = "text"
    longest: int = 200
    required: bool = True
    choices: Sequence[Choice] = ()


class FormPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page that is one form; it is sent to where it was got from."""

    title: str
    lead: str
    fields: Sequence[Field]
    button: str
    back: str

    def titles(self) -> dict[str, str]:
        return {field.name: field.title for field in self.fields}


def typed(fields: Sequence[Field], form: dict[str, str]) -> dict[str, str]:
    """What was typed into these fields, and into no others; ticks as ``a,b``."""
    return {
        field.name: ",".join(ticked(field, form)) if field.kind == "ticks" else form.get(field.name, "").strip()
        for field in fields
    }


def ticked(field: Field, form: dict[str, str]) -> tuple[str, ...]:
    """The choices with a tick; what was never offered cannot be ticked."""
    return tuple(choice.value for choice in field.choices if f"{field.name}-{choice.value}" in form)


def gaps(fields: Sequence[Field], given: dict[str, str]) -> dict[str, str]:
    """Errors of the fields left empty."""
    return {field.name: _EMPTY for field in fields if field.required and not given[field.name]}


def listed(given: str) -> tuple[str, ...]:
    """The parts of ``a,b``."""
    return tuple(part for part in given.split(",") if part)


def last_day(given: str, zone: str) -> datetime | None:
    """Midnight after the last good day, where the district is."""
    if not given:
        return None
    try:
        day = datetime.strptime(given, "%Y-%m-%d") + timedelta(days=1)
    except (ValueError, OverflowError):
        raise BadRequest("日期应为 YYYY-MM-DD。 A date is YYYY-MM-DD.", expires_on="") from None
    return day.replace(tzinfo=ZoneInfo(zone))


def show_form(
    request: Asking, page: FormPage, given: dict[str, str], errors: dict[str, str] | None = None, status: int = 200
) -> Response[str]:
    """The form with what was typed, and every error twice: in the list at the top and beside its field."""
    return show(request, "desk_form.html", status=status, page=page, given=given, errors=errors or {})


def show_refused(request: Asking, page: FormPage, given: dict[str, str], error: HubError) -> Response[str]:
    """The same form after the domain said no; what is not there for who asks is noted as any refusal is."""
    answer = show_form(
        request, page, given, {field_of(error, list(page.titles())): detail_of(error, request.auth)}, error.status
    )
    answer.background = note_refusal(request, error)
    return answer


def field_of(error: HubError, names: Sequence[str]) -> str:
    """The field an error is about: the first of its facts that is one; "" for the whole form."""
    return next((name for name in error.facts if name in names), "")


def detail_of(error: HubError, visit: Visit) -> str:
    """What an error says of this case, in the page's language: every detail is Chinese, a space, English."""
    chinese, _, english = (error.detail or error.sentence()).partition("。 ")
    return english if visit.language == "en" and english else f"{chinese.rstrip('。')}。"


def choices_of(words: dict[Any, str], visit: Visit) -> list[Choice]:
    """A dictionary of words as choices."""
    translate = translator(visit.language)
    return [Choice(str(value), translate(title)) for value, title in words.items()]
