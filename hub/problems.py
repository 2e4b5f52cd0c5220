"""Every refusal as one problem document (RFC 9457), in the language the caller reads."""

from __future__ import annotations

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_400_BAD_REQUEST, HTTP_500_INTERNAL_SERVER_ERROR
from psycopg.errors import DataError, NumericValueOutOfRange, UntranslatableCharacter
from sqlalchemy.exc import DBAPIError

from hub.errors import HubError
from hub.sentences import sentence_of

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: ("bad-request", "请求内容有误。", "The request is not well formed."),
    401: ("not-signed-in", "请先登录或提供有效的接口密钥。", "Sign in, or send a valid API key."),
    403: ("not-allowed", "当前账号无权进行此操作。", "This account may not do this."),
    404: ("not-found", "找不到所指的内容。", "There is no such thing here."),
    405: ("method-not-allowed", "此地址不支持该方法。", "This address does not take that method."),
    413: ("too-large", "内容超过允许的大小。", "The body is larger than allowed."),
    500: ("hub-error", "枢纽无法完成此操作。", "The hub cannot do this."),
}
_NO_ZEROS = "cannot contain NUL"
_TOO_MANY_DIGITS = "for integer string conversion"
_log = structlog.get_logger("hub.problems")


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The answer to any exception; an unforeseen one is logged by its kind and place, never with what was sent."""
    document = describe_problem(error, english=prefers_english(request.headers.get("accept-language", "")))
    if document["status"] == HTTP_500_INTERNAL_SERVER_ERROR:
        _log.error("failed", path=request.url.path, kind=type(error).__name__, exc_info=not isinstance(error, HubError))
    document["instance"] = request.url.path
    return Response(document, media_type=MEDIA_TYPE, status_code=document["status"], headers=_headers(error))


def describe_problem(error: Exception, *, english: bool) -> dict[str, Any]:
    """type, title, status and detail of any exception, and a HubError's own facts beside them."""
    if isinstance(error, HubError):
        return {**error.facts, **_named(error.problem, sentence_of(error, english=english), error.status, error.detail)}
    status = _status_of(error)
    problem, chinese, latin = _TITLES.get(
        status, _TITLES[400] if status < HTTP_500_INTERNAL_SERVER_ERROR else _TITLES[500]
    )
    document = _named(problem, latin if english else chinese, status, "")
    if isinstance(error, HTTPException) and status < HTTP_500_INTERNAL_SERVER_ERROR:
        document.update(_wrong_parameters(error))
    return document


def _status_of(error: Exception) -> int:
    """Nothing of the hub's own goes so deep as to end in a RecursionError: a body of a hundred thousand brackets does."""
    if isinstance(error, RecursionError) or cannot_be_held(error):
        return HTTP_400_BAD_REQUEST
    return error.status_code if isinstance(error, HTTPException) else HTTP_500_INTERNAL_SERVER_ERROR


def cannot_be_held(error: Exception) -> bool:
    """What was sent is nothing a column takes: a zero character in a text, a number that is too large."""
    wrong = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(wrong, ValueError) and _TOO_MANY_DIGITS in str(wrong):
        return True
    if not isinstance(wrong, DataError):
        return False
    return isinstance(wrong, NumericValueOutOfRange | UntranslatableCharacter) or _NO_ZEROS in str(wrong)


def prefers_english(accept_language: str) -> bool:
    """Chinese unless the caller puts English before it."""
    languages = [part.split(";")[0].strip().lower()[:2] for part in accept_language.split(",")]
    return next((language == "en" for language in languages if language in ("zh", "en")), False)


def _named(problem: str, title: str, status: int, detail: str) -> dict[str, Any]:
    named = {"type": f"urn:hub:problem:{problem}", "title": title, "status": status}
    return {**named, "detail": detail} if detail else named


def _wrong_parameters(error: HTTPException) -> dict[str, Any]:
    """Names and reasons of parameters that did not fit; never their values."""
    extra = error.extra if isinstance(error.extra, list) else []
    wrong = [{"code": str(item.get("key", "")), "detail": str(item.get("message", ""))} for item in extra]
    return {"errors": wrong} if wrong else {}


def _headers(error: Exception) -> dict[str, str]:
    if getattr(error, "status", None) == 401 or getattr(error, "status_code", None) == 401:
        return {"WWW-Authenticate": 'Bearer realm="hub"'}
    return dict(getattr(error, "headers", None) or {})
