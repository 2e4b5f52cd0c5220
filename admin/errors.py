"""A refusal, as a page: what happened and what to do; without a session, the way to the sign-in page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from admin.language import N_, chosen_language
from admin.pages import show
from admin.visits import LANGUAGE_COOKIE, anonymous_visit
from hub.errors import HubError, NotSignedIn
from hub.problems import cannot_be_held
from hub.sentences import sentence_of

_TITLES = {
    403: N_("无权访问"),
    404: N_("找不到这个页面"),
    413: N_("文件太大"),
    500: N_("系统出错"),
}
_ADVICE = {
    403: N_("当前账号没有这项权限。如确需使用，请联系安全管理员。"),
    404: N_("网址可能有误，或内容不属于本单位。请从首页重新进入。"),
    413: N_("请拆分成较小的文件后再上传。"),
    500: N_("请稍后再试。若仍出错，请把时间和所做操作告诉信息中心。"),
}
_OTHER_TITLE = N_("请求无法完成")
_OTHER_ADVICE = N_("请返回上一页，检查填写的内容后重试。")
_log = structlog.get_logger("admin.errors")


def answer_page(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The page for any exception raised while answering a person."""
    if isinstance(error, NotSignedIn):
        return _to_sign_in(request)
    status = _status(error)
    if status >= 500:
        _log.error("failed", path=request.url.path, kind=type(error).__name__, exc_info=not isinstance(error, HubError))
    _make_visit(request)
    english = request.auth.language == "en"
    sentence = sentence_of(error, english=english) if isinstance(error, HubError) and status != 500 else ""
    page = {"heading": _TITLES.get(status, _OTHER_TITLE), "advice": _ADVICE.get(status, _OTHER_ADVICE)}
    return show(request, "message.html", status=status, sentence=sentence, **page)


def _status(error: Exception) -> int:
    if isinstance(error, HubError):
        return error.status
    if cannot_be_held(error):
        return 400
    return error.status_code if isinstance(error, HTTPException) else 500


def _to_sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    path = request.url.path if request.method == "GET" else "/"
    target = f"/sign-in?{urlencode({'next': path})}" if path != "/" else "/sign-in"
    if request.headers.get("hx-request"):
        return Response(None, status_code=401, headers={"HX-Redirect": target})
    return Redirect(target, status_code=303)


def _make_visit(request: Request[Any, Any, Any]) -> None:
    """An error before the middleware (no such route, foreign request) has no visit yet: make a nameless one."""
    if request.scope.get("auth") is None:
        keyring = request.app.state.keyring
        language = chosen_language(request.cookies.get(LANGUAGE_COOKIE))
        nameless = anonymous_visit(keyring, "", language)
        request.scope["auth"] = msgspec.structs.replace(nameless, is_new=False)  # whoever is signed in stays so
        request.scope["user"] = None
