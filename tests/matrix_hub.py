"""A hub at work for the rights matrix: whose data is in it, who asks, and every route with its addresses filled in."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from litestar import Litestar
from sqlalchemy import Connection, select

from hub import jobs
from hub.casework.rounds import open_round
from hub.database import new_uuid, run_sql, utc_now
from hub.people.attributes import derive
from hub.registry.accounts import ROLE_KINDS
from hub.registry.api_keys import issue_key
from hub.registry.machine_identity import rights_a_key_may_have
from hub.registry.organisations import Organisation, load_organisation, save_organisation
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.registry.scope import reach_of
from hub.registry.sessions import open_session
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.tables import account
from mappings.catalogue import Catalogue
from tests.doors import OTHER_TOWN, OTHER_VILLAGE, THIS_MONTH, TOWN, VILLAGE, Hub, identity_number, open_account
from tests.straight import Answer, Straight

CLINICAL = "PLANTEDCLINICAL"
SENDERS = {"public_security": "hukou_move_in", "labour": "employment", "mch_station": "postnatal_visit"}
TOWNS = {VILLAGE: TOWN, OTHER_VILLAGE: OTHER_TOWN}
MORE_KINDS = {"information_centre": "information_centre", "upper_city": "upper"}
_ASKED_FOR = "HR20"  # how every receipt begins
_SURNAMES = "赵钱孙李周吴郑王"
_GIVEN = "安邦兴业"


@dataclass(frozen=True)
class Person:
    """One fictitious person: whoever may not know of them must see neither number nor name."""

    number: str
    name: str
    sender: str
    town: str
    clinical: bool


@dataclass(frozen=True)
class Asking:
    """One account or key: how it asks, and what it is."""

    name: str
    role: str
    organisation: str
    kind: str
    headers: dict[str, str]
    token: str
    rights: frozenset[Right]
    machine: bool = False


@dataclass
class Matrix:
    """Everything the matrix asks with."""

    hub: Hub
    people: list[Person] = field(default_factory=list)
    submissions: dict[str, tuple[UUID, str]] = field(default_factory=dict)  # organisation -> id, receipt number
    asking: list[Asking] = field(default_factory=list)
    persons: dict[str, UUID] = field(default_factory=dict)  # number -> person

    def may_know(self, who: Asking, person: Person) -> bool:
        """The rules again, in plain words: the sender, the town they live in, the subscriber; clinical: care and sender."""
        if person.clinical:
            return who.organisation == person.sender or who.kind == "care"
        own = who.organisation == person.sender
        at_home = who.organisation == person.town and Right.READ_CHANGE_LIST in who.rights
        subscribed = Right.PULL_SLICE in who.rights and who.organisation in ("health", person.town)
        return own or at_home or subscribed


def found_matrix(hub: Hub, catalogue: Catalogue) -> Matrix:
    """Three senders, people in two towns, two subscribers, and one account of every role in every kind of unit."""
    matrix = Matrix(hub)
    with hub.served.begin(reach_of(SYSTEM_ACTOR)) as connection:
        _more_organisations(connection, hub)
        _subscribe(connection, catalogue)
    for sender in SENDERS:
        _send(matrix, catalogue, sender)
    hub.work()
    with hub.worker.begin() as connection:
        numbers = run_sql(connection, "SELECT value, person_id FROM {d}.person_identifier WHERE kind = 'id_no'")
        matrix.persons = {str(value): UUID(str(person)) for value, person in numbers}
        derive(connection, catalogue, matrix.persons.values())
        open_round(connection, hub.settings, catalogue, SYSTEM_ACTOR, THIS_MONTH, utc_now(), reason="核对权限")
    with hub.served.begin() as connection:
        matrix.asking = [*_accounts(connection), *_machines(connection)]
    return matrix


def _more_organisations(connection: Connection, hub: Hub) -> None:
    for code, kind in MORE_KINDS.items():
        one = Organisation(code=code, district=hub.settings.district, name=f"单位{code}", kind=kind)  # type: ignore[arg-type]
        save_organisation(connection, SYSTEM_ACTOR, one)


def _subscribe(connection: Connection, catalogue: Catalogue) -> None:
    moves = SliceType("hukou_move_in", ("name", "id_no", "move_date"))
    terms = Terms(purpose="核对", legal_basis="条例")
    town = load_organisation(connection, TOWN).area_id
    assert town is not None
    for code, areas in (("health", None), (TOWN, (town,))):
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code=f"moves-{code}", organisation=code, title="迁入",
            definition=SliceDefinition((moves,), areas), terms=terms,
        )  # fmt: skip


def _send(matrix: Matrix, catalogue: Catalogue, sender: str) -> None:
    record_type = SENDERS[sender]
    rows = []
    for place, village in enumerate(TOWNS):
        serial = 100 * (list(SENDERS).index(sender) + 1) + 10 * place
        name = _SURNAMES[serial // 100] + _GIVEN[place] + _SURNAMES[place + 4]
        clinical = catalogue.record_types[record_type].restricted
        matrix.people.append(Person(identity_number(serial + 2), name, sender, TOWNS[village], clinical))
        rows.append(_row(catalogue, record_type, serial, name, village))
        wrong = identity_number(serial + 4)[:-1] + "Z"  # a row error keeps the value as it was sent
        matrix.people.append(Person(wrong, name, sender, TOWNS[village], clinical))
        rows.append(_row(catalogue, record_type, serial + 2, name, village) | {"id_no": wrong})
    held = identity_number(serial + 6)
    held = held[:-1] + ("0" if held[-1] != "0" else "1")  # a wrong check digit: the row waits for a person
    matrix.people.append(Person(held, name, sender, TOWNS[village], clinical))
    rows.append(_row(catalogue, record_type, serial + 4, name, village) | {"id_no": held})
    body = io.BytesIO(msgspec.json.Encoder().encode_lines(rows))
    actor = Actor(name="founder", organisation=sender, kind="hub", door="command", rights=frozenset({Right.SUBMIT}))
    accepted = jobs.accept(
        matrix.hub.worker, matrix.hub.settings, actor, stream=body, file_name=file_of(sender), record_type=record_type,
        organisation=sender, period=THIS_MONTH, door="command",
    )  # fmt: skip
    matrix.submissions[sender] = (accepted.submission_id, accepted.receipt_number)


def file_of(sender: str) -> str:
    """The name of the file a sender sent: who sees it sees that line of the ledger."""
    return f"lines-of-{sender}.ndjson"


def _row(catalogue: Catalogue, record_type: str, serial: int, name: str, village: str) -> dict[str, str]:
    from tests.factories import row_values

    values = row_values(catalogue, record_type, serial % 40)
    own = {"name": name, "id_no": identity_number(serial + 2), "sex": "2", "live_div": village, "hukou_div": village}
    clinical = {"findings": CLINICAL} if "findings" in catalogue.record_types[record_type].by_name else {}
    known = catalogue.record_types[record_type].by_name
    return {key: value for key, value in (values | own | clinical).items() if key in known}


def _accounts(connection: Connection) -> Iterator[Asking]:
    units = {
        "department": "labour", "care": "mch_station", "bureau": "bureau", "town": TOWN,
        "information_centre": "information_centre", "upper": "upper_city",
    }  # fmt: skip
    for role, kinds in ROLE_KINDS.items():
        for kind in sorted(kinds & units.keys()):
            yield new_asking(connection, f"{role}-{kind}", role, units[kind], kind)


def new_asking(connection: Connection, login: str, role: str, organisation: str, kind: str) -> Asking:
    """A new account, signed in."""
    open_account(connection, login, organisation, role)
    account_id = connection.execute(select(account.c.account_id).where(account.c.login == login)).scalar_one()
    value = open_session(connection, account_id, utc_now())
    token = str(run_sql(connection, _TOKEN, id=account_id)[0][0])
    headers = {"Cookie": f"__Host-sid={value}", "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    return Asking(login, role, organisation, kind, headers, token, ROLES[role])


_TOKEN = "SELECT convert_from(content, 'UTF8') FROM admin.web_session WHERE account_id = :id"


def _machines(connection: Connection) -> Iterator[Asking]:
    for code in ("labour", "health", "public_security", "mch_station", TOWN, OTHER_TOWN):
        its = load_organisation(connection, code)
        scopes = rights_a_key_may_have(its)
        key = issue_key(connection, SYSTEM_ACTOR, organisation=code, title="矩阵", scopes=scopes)
        headers = {"Authorization": f"Bearer {key.text}", "Accept": "application/json"}
        yield Asking(f"key-{code}", "integrator", code, its.kind, headers, "", frozenset(scopes), machine=True)


# ---- routes ----


@dataclass(frozen=True)
class Route:
    """One method of one route; ``rights`` are any of those it wants."""

    method: str
    template: str
    rights: tuple[Right, ...]
    for_machines: bool

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    def open_to(self, who: Asking) -> bool:
        return Right.PUBLIC in self.rights or bool(who.rights & {*self.rights})


def routes_of(app: Litestar) -> list[Route]:
    """Every route but the static files and those of the machine-readable description."""
    found = []
    for route in app.routes:
        for handler in getattr(route, "route_handlers", None) or [route.route_handler]:  # type: ignore[union-attr]
            for method in sorted(getattr(handler, "http_methods", ())):
                rights = handler.opt.get("right")
                named = rights if isinstance(rights, tuple) else (rights,)
                found.append(Route(method, route.path, named, route.path.startswith("/v1")))
    return [one for one in found if one.method != "OPTIONS" and not one.template.startswith(("/static", "/schema"))]


def address(route: Route, matrix: Matrix, owner: str) -> str:
    """The route's address with ids of what belongs to ``owner``."""
    submission_id, number = matrix.submissions.get(owner, (new_uuid(), "R-000"))
    fillers: dict[str, object] = {
        "submission_id": submission_id, "number": number, "code": f"moves-{owner}", "language": "en", "row_no": 1,
        "error_no": 1, "seq": 1, "login": f"department_clerk-{owner}", "prefix": "nobody", "organisation": owner,
        "session_id": new_uuid(),
        "first": new_uuid(), "second": new_uuid(), "request_id": new_uuid(), "item_id": new_uuid(),
        "notice_id": new_uuid(), "roll_id": new_uuid(), "challenge_id": new_uuid(), "act": "close",
        "numbers": "1-1", "export_no": "DC20261101-0000000000",
        "record_type": "hukou_move_in", "contact_id": new_uuid(), "check_id": new_uuid(),
        "certificate_no": "ZM20260101-00000000", "file": "employment.xlsx",
        "area_id": 2,
        "view_id": new_uuid(), "page": "submissions", "density": "compact",
        "person_id": matrix.persons.get(_number_of(matrix, owner), new_uuid()), "month": THIS_MONTH,
    }  # fmt: skip
    if route.template == "/v1/record-types/{code:str}":
        fillers["code"] = "marriage"
    if route.template.startswith("/catalogue"):
        fillers["act"] = "submit"
    if route.template.startswith("/held"):
        fillers["row_no"] = 2 * len(TOWNS) + 1  # the one that waits
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: str(fillers[found[1]]), route.template)


def _number_of(matrix: Matrix, owner: str) -> str:
    return next((one.number for one in matrix.people if one.sender == owner), "")


async def ask(client: Straight, route: Route, who: Asking | None, matrix: Matrix, owner: str) -> Answer:
    """One request, with a form or a body that would be accepted if the right were there."""
    sent: dict[str, Any] = {"headers": who.headers if who else {}}
    if route.method in ("POST", "PUT", "PATCH", "DELETE"):
        if route.for_machines:
            sent["json"] = {"to_delivery_no": 1, "digest": "x", "type": "hukou_move_in", "rows": []}
            if route.template == "/v1/people/verifications":
                pair = {"name": "王小明", "id_no": _number_of(matrix, owner)}
                sent["json"] = {"purpose": "核对人员信息", "rows": [pair]}
            sent["headers"] = {**sent["headers"], "Idempotency-Key": str(new_uuid())}
        else:
            sent["data"] = {"token": who.token if who else "", "reason": "核对人员信息", "organisation": owner}
            if route.template in ("/people", "/disclosures", "/disclosures/file"):
                sent["data"] |= {"purpose": "verify", "id_no": _number_of(matrix, owner)}
    return await client.request(route.method, address(route, matrix, owner) + query_of(route, owner), **sent)


def query_of(route: Route, owner: str) -> str:
    """What a page cannot do without, behind its address."""
    if route.method == "GET" and route.template.startswith(("/changes", "/board")):
        return f"?month={THIS_MONTH}"
    if route.template in ("/quality/rows", "/v1/quality/rows"):
        code = SENDERS.get(owner, "")
        return f"?month={THIS_MONTH}&organisation={owner}&record_type={code}&type={code}&measure=completeness"
    if route.template in ("/matrix/rows", "/quality/trend"):
        known = SENDERS.get(owner, "employment")
        return f"?measure=asked&month={THIS_MONTH}&whose={owner}&organisation={owner}&record_type={known}"
    if route.template in ("/submissions/new", "/search"):
        return f"?record_type={SENDERS.get(owner, '')}&q={_ASKED_FOR}"
    if route.template.endswith("/certificate"):
        return f"?period={THIS_MONTH}"
    if route.template.startswith("/people/{person_id") and route.method == "GET":
        return "?purpose=verify&reason=核对人员信息"
    return ""
