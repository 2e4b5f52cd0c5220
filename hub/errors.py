"""The hub cannot go on: every such case is a HubError whose docstring is the sentence the caller reads.

A sender's wrong data is never an exception: it is a stored row error (see ``hub.exchange.row_errors``).
"""

from typing import ClassVar


class HubError(Exception):
    """枢纽无法完成此操作。 The hub cannot do this."""

    status: ClassVar[int] = 500
    problem: ClassVar[str] = "hub-error"
    exit_code: ClassVar[int] = 4

    def __init__(self, detail: str = "", **facts: object) -> None:
        self.detail = detail
        self.facts = facts
        super().__init__(f"{self.sentence()} {detail}".strip())

    @classmethod
    def sentence(cls) -> str:
        """The first line of the class docstring: Chinese, then English."""
        return (cls.__doc__ or "").strip().splitlines()[0]


class NotAllowed(HubError):
    """当前账号无权进行此操作。 This account may not do this."""

    status, problem, exit_code = 403, "not-allowed", 3


class NotSignedIn(HubError):
    """请先登录或提供有效的接口密钥。 Sign in, or send a valid API key."""

    status, problem, exit_code = 401, "not-signed-in", 3


class NotFound(HubError):
    """找不到所指的内容。 There is no such thing here."""

    status, problem, exit_code = 404, "not-found", 4


class BadRequest(HubError):
    """请求内容有误。 The request is not well formed."""

    status, problem, exit_code = 400, "bad-request", 2


class FileRefused(HubError):
    """文件无法接收。 The file cannot be taken."""

    status, problem, exit_code = 422, "file-refused", 2


class ColumnsUnconfirmed(FileRefused):
    """有的列名不认识，请先确认各列的含义。 Some headers are not known: say first what these columns mean.

    ``facts["question"]``: what a person is asked (hub.exchange.header_matching.Question, as plain values).
    """

    problem = "columns-unconfirmed"


class Conflict(HubError):
    """与现有内容冲突。 This conflicts with what is already here."""

    status, problem, exit_code = 409, "conflict", 4


class KeyReused(HubError):
    """同一幂等键已用于不同内容。 This Idempotency-Key was used with another body."""

    status, problem, exit_code = 422, "idempotency-key-reused", 4


class TooLarge(HubError):
    """内容超过允许的大小。 The body is larger than allowed."""

    status, problem, exit_code = 413, "too-large", 2


class CursorGone(HubError):
    """游标已失效，请先下载全量再继续。 The cursor is no longer valid: take a snapshot, then go on."""

    status, problem, exit_code = 410, "cursor-gone", 4


class ClinicalBoundary(HubError):
    """临床信息不出医疗照护单位。 Clinical facts never leave care."""

    status, problem, exit_code = 403, "clinical-boundary", 3


class BrokenCatalogue(HubError):
    """映射文件有误，枢纽不能启动。 A mapping file is broken; the hub does not start."""

    status, problem = 500, "broken-catalogue"


class DatabaseUnavailable(HubError):
    """数据库不可用。 The database cannot be reached."""

    status, problem = 503, "database-unavailable"


class PendingMigration(HubError):
    """数据库结构不是最新，请先运行 hub migrate。 The schema is not current: run hub migrate."""

    status, problem = 503, "pending-migration"
