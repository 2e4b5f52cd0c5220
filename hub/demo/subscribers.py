"""Who pulls what in the demo; and whether each slice, replayed from its feed, is the slice as queried."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from hub.database import Database
from hub.demo.areas import District
from hub.demo.founding import FOUNDER, KINDS
from hub.exchange import deliver, slices
from hub.registry.areas import load_area_index
from hub.registry.permissions import ROLES, Actor
from hub.registry.slice_definition import Condition, SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription, load_subscription
from mappings.catalogue import Catalogue, RecordType

LAW = "政务数据共享条例第三十条；区级数据共享目录"
IDENTITY = ("name", "id_no", "sex", "birth_date", "live_div", "hukou_div")


class Wanted(NamedTuple):
    """One department's slice: which types with which fields, for what."""

    code: str
    organisation: str
    title: str
    purpose: str
    types: Mapping[str, tuple[str, ...]]  # () = every field that is not clinical
    conditions: Mapping[str, tuple[Condition, ...]] = MappingProxyType({})
    clinical: bool = False
    requested: bool = False  # asked for and approved by the hub's own rules (hub.demo.licences)


WANTED = (
    Wanted("gongan-vital", "public_security", "出生死亡婚姻", "户籍登记核对", {
        "birth_certificate": ("cert_no", "child_name", "child_sex", "birth_time", "mother_name", "mother_id_no"),
        "death_certificate": ("name", "id_no", "cert_no", "death_date", "hukou_div"),
        "cremation": ("name", "id_no", "cremated_on"),
        "marriage": ("cert_no", "registered_on", "male_name", "male_id_no", "female_name", "female_id_no"),
        "divorce": ("cert_no", "registered_on", "male_id_no", "female_id_no"),
    }),
    Wanted("weijian-newborn", "health", "新生儿入户与迁移", "预防接种与妇幼服务衔接", {
        "newborn_hukou": ("child_name", "child_id_no", "child_birth_date", "child_live_div", "cert_no", "registered_on"),
        "hukou_move_in": (*IDENTITY, "move_date"),
        "hukou_move_out": (*IDENTITY, "move_date"),
    }),
    Wanted("minzheng-deaths", "civil_affairs", "死亡与注销", "殡葬服务与救助待遇核对", {
        "death_certificate": ("name", "id_no", "death_date", "cert_no"),
        "hukou_cancel": ("name", "id_no", "cancel_date", "kind"),
    }, {"hukou_cancel": (Condition("kind", "in", ("1",)),)}),
    Wanted("renshe-deaths-moves", "labour", "死亡、迁移与婚姻", "社会保险待遇核对", {
        "death_certificate": ("name", "id_no", "death_date"),
        "cremation": ("name", "id_no", "cremated_on"),
        "hukou_move_out": ("name", "id_no", "move_date"),
        "marriage": ("male_id_no", "female_id_no", "registered_on"),
    }),
    Wanted("shijian-residents", "commerce", "居住登记", "经营者住所核对", {
        "residence_registration": ("name", "id_no", "live_div", "permit_no", "valid_to"),
    }, requested=True),
    Wanted("fuyou-care", "mch_station", "新生儿、接种与本站出生", "产后与儿童保健", {
        "newborn_hukou": (), "immunisation_enrol": (), "birth_certificate": (), "antenatal_booking": (), "postnatal_visit": (),
    }, clinical=True),
)  # fmt: skip

# Delivered, and signed for by nobody (hub.demo.receiving): what stands open must be there to see as well.
UNSIGNED = frozenset({"renshe-deaths-moves", "gongan-vital", "minzheng-deaths"})


class Replayed(msgspec.Struct, frozen=True):
    """What one subscriber holds after reading its whole feed, and whether that is what the query says."""

    code: str
    organisation: str
    title: str
    records: int
    by_type: dict[str, int]
    enters: int
    updates: int
    leaves: int
    equal: bool
    acknowledged: bool


def subscribe_all(connection: Connection, catalogue: Catalogue, district: District) -> None:
    """Five departments by need, each town by its own area; a sixth asks for its slice."""
    for one in WANTED:
        if not one.requested:
            _subscribe(connection, catalogue, one, None)
    areas = load_area_index(connection)
    for town in district.towns:
        kinds: dict[str, tuple[str, ...]] = dict.fromkeys(_types_for_towns(catalogue), ())
        wanted = Wanted(
            f"town-{town.organisation}", town.organisation, f"{town.name}辖区变动", "辖区人口月度核对", kinds
        )
        _subscribe(connection, catalogue, wanted, areas.expand(areas.codes[town.code]))


def _for_towns(kind: RecordType) -> bool:
    return kind.enabled and not kind.restricted and kind.sharing != "none"


def _types_for_towns(catalogue: Catalogue) -> list[str]:
    return [code for code, kind in catalogue.record_types.items() if _for_towns(kind)]


def _subscribe(connection: Connection, catalogue: Catalogue, one: Wanted, areas: tuple[int, ...] | None) -> None:
    types = tuple(
        SliceType(code, fields or _all_fields(catalogue, code, one.clinical), one.conditions.get(code, ()))
        for code, fields in one.types.items()
    )
    create_subscription(
        connection, FOUNDER, catalogue, code=one.code, organisation=one.organisation, title=one.title,
        definition=SliceDefinition(types, areas), terms=Terms(purpose=one.purpose, legal_basis=LAW),
    )  # fmt: skip


def _all_fields(catalogue: Catalogue, code: str, clinical: bool) -> tuple[str, ...]:
    kind = catalogue.record_types[code]
    return tuple(field.name for field in (kind.fields if clinical else kind.plain_fields))


def subscription_codes(district: District) -> list[tuple[str, str]]:
    """(code, organisation) of every subscription of the demo."""
    towns = [(f"town-{town.organisation}", town.organisation) for town in district.towns]
    return [(one.code, one.organisation) for one in WANTED] + towns


def replay(database: Database, context: slices.FeedContext, code: str, organisation: str) -> Replayed:
    """Read a subscription's feed to its end as its owner, sign for it unless it is to stand open, compare with the query."""
    actor = reader_of(organisation)
    held: dict[tuple[str, str], object] = {}
    ops: Counter[str] = Counter()
    cursor, more, acknowledged = None, True, True
    while more:
        with database.begin() as connection:
            page = slices.read_page(connection, actor, context, code, cursor, slices.LARGEST_PAGE)
            acknowledged &= code in UNSIGNED or acknowledge_page(connection, actor, code, page, page.digest)
        for change in json.loads(f"[{page.changes}]"):
            ops[change["op"]] += 1
            _apply(held, change)
        cursor, more = page.next, page.more
    with database.read() as connection:
        known = load_subscription(connection, code)
        queried = {
            _key(record): record["after"] for record in slices.query_slice(connection, context, known.definition)
        }
    by_type = Counter(record_type for record_type, _ in held)
    return Replayed(
        code, organisation, known.title, len(held), dict(by_type), ops["enter"], ops["update"], ops["leave"],
        held == queried, acknowledged,
    )  # fmt: skip


def _apply(held: dict[tuple[str, str], object], change: dict[str, object]) -> None:
    if change["op"] == "leave":
        held.pop(_key(change), None)
    else:
        held[_key(change)] = change["after"]


def _key(record: dict[str, object]) -> tuple[str, str]:
    return str(record["record_type"]), str(record["record_id"])


def acknowledge_page(connection: Connection, actor: Actor, code: str, page: slices.Page, digest: str) -> bool:
    """Sign for a page; whether the hub says that both sides hold the same."""
    if not page.count:
        return True
    known = load_subscription(connection, code)
    last = page.first_delivery_no + page.count - 1
    return deliver.acknowledge(connection, actor, known, page.epoch, last, digest).matches


def reader_of(organisation: str) -> Actor:
    """The program of an organisation that pulls its slices."""
    kind = KINDS.get(organisation, "town")
    return Actor(name="command:demo", organisation=organisation, kind=kind, door="command", rights=ROLES["integrator"])
