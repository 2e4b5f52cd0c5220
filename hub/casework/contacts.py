"""Whom a unit wants told, by mail and by short message: its own desk keeps the list."""

from __future__ import annotations

import re
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from adapters.mail import is_mail_address
from hub import audit
from hub.database import district_of, new_uuid, run_sql, utc_now
from hub.errors import BadRequest, Conflict, NotFound
from hub.registry.organisations import load_organisation
from hub.registry.permissions import Actor, Right
from hub.registry.rights import require

KEEPERS = (Right.WORK_CHALLENGE, Right.ASK_OWN_ACCESS)  # of their own unit's list
_PHONE = re.compile(r"\+?[0-9]{11,15}")
_LONGEST_NAME = 40
_MOST = 20


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a unit's list."""

    contact_id: UUID
    organisation: str
    name: str
    mail: str
    phone: str


def list_contacts(connection: Connection, actor: Actor, organisation: str = "") -> list[Contact]:
    """A unit's list: one's own, or any at the hub's own machine."""
    require(actor, *KEEPERS, Right.OPERATE)
    rows = run_sql(connection, _LISTED, organisation=_whose(actor, organisation))
    return [msgspec.convert(dict(zip(Contact.__struct_fields__, row, strict=True)), Contact) for row in rows]


_LISTED = """
SELECT contact_id, organisation, name, mail, phone FROM {d}.contact
 WHERE organisation = :organisation ORDER BY name, contact_id
"""


def add_contact(
    connection: Connection, actor: Actor, *, name: str, mail: str, phone: str, organisation: str = ""
) -> UUID:
    """Enter somebody; BadRequest names the field that is wrong. From the next notice on they are told."""
    require(actor, *KEEPERS, Right.OPERATE)
    whose, one = load_organisation(connection, _whose(actor, organisation)).code, new_uuid()
    _refuse_unusable(name, mail, phone)
    _refuse_known(connection, whose, mail, phone)
    run_sql(
        connection, _ENTERED, contact_id=one, organisation=whose, name=name, mail=mail, phone=phone, now=utc_now(),
        actor=actor.name,
    )  # fmt: skip
    audit.record(connection, actor, Right.WORK_CHALLENGE, f"contact/{one}", of=whose, mail=bool(mail), sms=bool(phone))
    return one


_ENTERED = """
INSERT INTO {d}.contact (contact_id, organisation, name, mail, phone, changed_at, changed_by)
VALUES (:contact_id, :organisation, :name, :mail, :phone, :now, :actor)
"""


def remove_contact(connection: Connection, actor: Actor, contact_id: UUID, organisation: str = "") -> None:
    """Take somebody off the unit's list; NotFound. What already waits to be sent to them is not sent any more."""
    require(actor, *KEEPERS, Right.OPERATE)
    whose = _whose(actor, organisation)
    gone = run_sql(
        connection,
        "DELETE FROM {d}.contact WHERE contact_id = :id AND organisation = :organisation RETURNING contact_id",
        id=contact_id,
        organisation=whose,
    )
    if not gone:
        raise NotFound("没有这个联系人。 No such contact.")
    audit.record(connection, actor, Right.WORK_CHALLENGE, f"contact/{contact_id}", of=whose, removed=True)


def units_without_contact(connection: Connection) -> list[str]:
    """Towns that take part and have nobody to be told."""
    rows = run_sql(
        connection,
        """
        SELECT o.code FROM shared.organisation o
         WHERE o.kind = 'town' AND o.enabled AND '"' || o.district || '"' = :district
           AND NOT EXISTS (SELECT 1 FROM {d}.contact c WHERE c.organisation = o.code)
         ORDER BY o.code
        """,
        district=district_of(connection),
    )
    return [str(code) for (code,) in rows]


def _whose(actor: Actor, organisation: str) -> str:
    """Only at the hub's own machine another unit may be named."""
    return organisation if organisation and actor.may(Right.OPERATE) else actor.organisation


def _refuse_unusable(name: str, mail: str, phone: str) -> None:
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise BadRequest(f"姓名应为 1 至 {_LONGEST_NAME} 个字。 A name has 1 to {_LONGEST_NAME} characters.", name="")
    if mail and not is_mail_address(mail):
        raise BadRequest("邮箱地址有误。 That is no mail address.", mail="")
    if phone and not _PHONE.fullmatch(phone):
        raise BadRequest("手机号应为 11 至 15 位数字。 A mobile number has 11 to 15 digits.", phone="")
    if not (mail or phone):
        raise BadRequest("邮箱和手机号至少填一项。 Give a mail address or a mobile number.", mail="")


def _refuse_known(connection: Connection, organisation: str, mail: str, phone: str) -> None:
    rows = run_sql(connection, _LISTED, organisation=organisation)
    if len(rows) >= _MOST:
        raise Conflict(f"一个单位最多 {_MOST} 个联系人。 A unit has {_MOST} contacts at most.")
    if any((mail and mail == row[3]) or (phone and phone == row[4]) for row in rows):
        raise Conflict("该邮箱或手机号已登记。 That address or number is listed already.")
