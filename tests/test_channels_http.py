"""The hub reads a department's interface to its end, and tells another that its slice has moved: within limits."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from adapters import outbound
from adapters.channels import webhook
from adapters.channels.http_pull import seconds_of
from hub.channels.run import ChannelFailed
from hub.database import Database, utc_now
from hub.keyring import is_signed_by
from hub.registry.permissions import SYSTEM_ACTOR
from hub.registry.subscriptions import set_state
from hub.settings import Settings
from mappings.catalogue import Catalogue
from tests.channel_hub import ChannelHub
from tests.doors import move_in
from tests.peer_servers import Answering, Asked, HttpPeer, http_peer

PULL = """
kind = "http_pull"
organisation = "public_security"
record_type = "hukou_move_in"
url = "{url}/people"
items = "data.items"
every_seconds = 60
period = "current"
"""
FIELDS = """
[fields]
"person.xm" = "name"
sfz = "id_no"
qrrq = "move_date"
sqdm = "live_div"
"""
WEBHOOK = (
    'kind = "webhook"\norganisation = "labour"\nsubscription = "renshe-moves"\nurl = "{url}/hook"\nevery_seconds = 60\n'
)

Answer = Callable[[Asked], Answering]


@pytest.fixture
def hub(database: Database, settings: Settings, catalogue: Catalogue) -> ChannelHub:
    return ChannelHub(database, settings, catalogue)


@pytest.fixture
def peered(hub: ChannelHub) -> Iterator[Callable[[Answer], HttpPeer]]:
    """A peer of the hub's list that answers as the test says."""
    with ExitStack() as held:

        def serve(answer: Answer) -> HttpPeer:
            peer = held.enter_context(http_peer(answer))
            hub.allow(*hub.settings.outbound_hosts, peer.url)
            return peer

        yield serve


def person(serial: int) -> dict[str, Any]:
    row = move_in(serial)
    named = {"xm": row["姓名"]}
    return {
        "person": named,
        "sfz": row["公民身份号码"],
        "qrrq": row["迁入日期"],
        "sqdm": row["所属社区(村)"],
        "gxsj": serial,
    }


def page(*items: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"data": {"items": items}, **more}, ensure_ascii=False).encode()


def query(asked: Asked) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(asked.path).query))


PEOPLE = [person(serial) for serial in range(1, 6)]


def by_page(asked: Asked) -> Answering:
    number = int(query(asked)["p"])
    return Answering(200, page(*PEOPLE[(number - 1) * 2 : number * 2]))


def by_offset(asked: Asked) -> Answering:
    start = int(query(asked)["from"])
    return Answering(200, page(*PEOPLE[start : start + 3]))


def by_cursor(asked: Asked) -> Answering:
    start = int(query(asked).get("after", 0))
    return Answering(200, page(*PEOPLE[start : start + 2], next=start + 2 if start + 2 < len(PEOPLE) else None))


def by_link(asked: Asked) -> Answering:
    start = int(query(asked).get("s", 0))
    following = {"Link": f'</people?s=9>; rel="last", </people?s={start + 4}>; rel="next"'} if start + 4 < 5 else {}
    return Answering(200, page(*PEOPLE[start : start + 4]), following)


WAYS: list[tuple[Answer, str, int]] = [
    (by_page, 'paging = "page"\nparameter = "p"\nsize_parameter = "n"\npage_size = 2', 3),
    (by_offset, 'paging = "offset"\nparameter = "from"', 3),
    (by_cursor, 'paging = "cursor"\nparameter = "after"\nnext_cursor = "next"', 3),
    (by_link, 'paging = "link"', 2),
]


def test_every_page_is_read_whichever_way_and_the_items_become_one_submission(
    hub: ChannelHub, peered: Callable[[Answer], HttpPeer]
) -> None:
    receipts: set[str] = set()
    for answer, declared, requests in WAYS:
        peer = peered(answer)
        hub.declare("gongan", PULL.format(url=peer.url) + declared + FIELDS)
        ran = hub.run("gongan")
        assert (ran.taken, len(peer.asked)) == (5, requests)
        receipts.update(ran.receipts)
    hub.work()
    (row,) = hub.submissions()  # the same rows are the same submission, however they were read
    assert receipts == {row.receipt_number}
    assert (row.door, row.received, row.accepted, row.organisation) == ("pull", 5, 5, "public_security")


def test_only_what_changed_since_is_asked_for_next(hub: ChannelHub, peered: Callable[[Answer], HttpPeer]) -> None:
    people = [*PEOPLE]
    peer = peered(
        lambda asked: Answering(200, page(*[one for one in people if one["gxsj"] > int(query(asked)["since"])]))
    )
    since = 'since_parameter = "since"\nsince_item = "gxsj"\nsince_first = "0"\n'
    hub.declare("gongan", PULL.format(url=peer.url) + since + FIELDS)
    assert hub.run("gongan").taken == 5
    assert hub.run("gongan").taken == 0
    people.append(person(12))
    assert hub.run("gongan").taken == 1
    assert [query(asked)["since"] for asked in peer.asked] == ["0", "5", "5"]
    assert len(hub.submissions()) == 2


def test_the_hub_signs_in_with_a_header_or_for_a_token(hub: ChannelHub, peered: Callable[[Answer], HttpPeer]) -> None:
    def answer(asked: Asked) -> Answering:
        return Answering(200, b'{"access_token": "t0"}' if asked.path == "/token" else page())

    peer = peered(answer)
    hub.secret("gongan.key", "a secret / of theirs\n")
    header = '[auth]\nkind = "header"\nheader = "X-App-Key"\nsecret_file = "gongan.key"\n'
    hub.declare("gongan", PULL.format(url=peer.url) + FIELDS + header)
    hub.run("gongan")
    oauth = (
        f'[auth]\nkind = "oauth2"\ntoken_url = "{peer.url}/token"\nclient_id = "the hub"\nsecret_file = "gongan.key"\n'
    )
    hub.declare("gongan", PULL.format(url=peer.url) + FIELDS + oauth)
    hub.run("gongan")
    by_key, for_token, by_token = peer.asked
    assert by_key.headers["x-app-key"] == "a secret / of theirs"
    basic = base64.b64decode(for_token.headers["authorization"].removeprefix("Basic ")).decode()
    assert (basic, for_token.content) == ("the+hub:a+secret+%2F+of+theirs", b"grant_type=client_credentials")
    assert by_token.headers["authorization"] == "Bearer t0"


BAD_ANSWERS: list[tuple[str, Answer, str, str]] = [
    ("a page for people", lambda a: Answering(200, b"<html>", {"Content-Type": "text/html"}), "", "text/html"),
    ("an error", lambda a: Answering(500, b"{}"), "", "500"),
    ("a redirect", lambda a: Answering(302, b"", {"Location": "/elsewhere"}), "", "302"),
    ("items that are none", lambda a: Answering(200, b'{"data": {"items": "x"}}'), "", "items"),
    ("an answer of ten times the size", lambda a: Answering(200, b" " * 10_000), "page_bytes = 1000", "1000"),
    ("pages without end", lambda a: Answering(200, page(person(1))), 'paging="page"\nparameter="p"\nmost_pages=5', "5"),
    ("the same cursor for ever", lambda a: Answering(200, page(person(1), next="x")),
     'paging = "cursor"\nparameter = "after"\nnext_cursor = "next"', "2"),
    ("a link that leads elsewhere", lambda a: Answering(200, page(person(1)), {"Link": "<http://x.example/>; rel=next"}),
     'paging = "link"', "leads elsewhere"),
    ("nested values", lambda a: Answering(200, page({**person(1), "sfz": {"a": 1}})), "", "sfz"),
    ("nesting without end", lambda a: Answering(200, b"[" * 200_000), "", "JSON"),
]  # fmt: skip


def test_no_bad_answer_becomes_a_submission(hub: ChannelHub, peered: Callable[[Answer], HttpPeer]) -> None:
    for number, (_, answer, declared, told) in enumerate(BAD_ANSWERS):
        peer = peered(answer)
        hub.declare("gongan", PULL.format(url=peer.url) + declared + FIELDS)
        with pytest.raises(ChannelFailed, match=told):
            hub.run("gongan")
        assert hub.state("gongan").failures == number + 1
        assert len(peer.asked) <= 5
        assert all(asked.path.startswith("/people") for asked in peer.asked)
    assert hub.submissions() == []


def test_a_busy_interface_is_asked_again_when_it_says(hub: ChannelHub, peered: Callable[[Answer], HttpPeer]) -> None:
    peer = peered(lambda asked: Answering(503, b"", {"Retry-After": "5000"}))
    hub.declare("gongan", PULL.format(url=peer.url) + FIELDS)
    with pytest.raises(ChannelFailed, match="503"):
        hub.run("gongan")
    next_at = hub.state("gongan").next_at
    assert next_at is not None
    assert 4_900 < (next_at - utc_now()).total_seconds() <= 5_000
    assert hub.channels().due(utc_now()) == []


def test_a_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    now = utc_now().replace(year=2015, month=10, day=21, hour=7, minute=28, second=0, microsecond=0)
    read = [
        seconds_of(text, now)
        for text in ("12", "Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:00:00 GMT", "x", "")
    ]
    assert read == [12.0, 30.0, 0.0, None, None]


# ---- webhooks ----


def hook(hub: ChannelHub, peered: Callable[[Answer], HttpPeer], *statuses: int, **headers: str) -> HttpPeer:
    left = list(statuses)
    peer = peered(lambda asked: Answering(left.pop(0) if len(left) > 1 else left[0], b"", headers))
    hub.declare("hook", WEBHOOK.format(url=peer.url))
    return peer


def test_a_slice_that_moved_is_announced_once_signed_and_without_a_word_about_anybody(
    hub: ChannelHub, peered: Callable[[Answer], HttpPeer]
) -> None:
    peer = hook(hub, peered, 204)
    assert hub.run("hook").taken == 0  # nothing has happened yet
    hub.move(1, 4)
    assert (hub.run("hook").taken, hub.run("hook").taken) == (1, 0)
    (asked,) = peer.asked
    told = json.loads(asked.content)
    assert (told["type"], told["data"]) == ("slice.reached", {"subscription": "renshe-moves", "seq": 3})
    assert set(told) == {"type", "timestamp", "data"}
    assert len(asked.content) < webhook.LARGEST_BODY
    signed = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode() + asked.content
    version, _, signature = asked.headers["webhook-signature"].partition(",")
    keyring = hub.tools.keyring
    assert version == "v1a"
    assert is_signed_by(keyring.public_keys, keyring.signing_key_id, signed, base64.b64decode(signature))
    assert not is_signed_by(keyring.public_keys, keyring.signing_key_id, signed + b" ", base64.b64decode(signature))


def test_a_message_that_was_not_heard_is_the_same_message_by_the_standards_timetable(
    hub: ChannelHub, peered: Callable[[Answer], HttpPeer]
) -> None:
    peer = hook(hub, peered, 500, 302, 200)
    hub.move(1, 2)
    pauses = []
    for _ in range(2):
        with pytest.raises(ChannelFailed):
            hub.run("hook")
        state = hub.state("hook")
        assert state.next_at is not None
        pauses.append(round((state.next_at - utc_now()).total_seconds()))
    assert hub.run("hook").taken == 1
    assert pauses == [5, 300]
    assert (
        len({asked.headers["webhook-id"] for asked in peer.asked}) == len({asked.content for asked in peer.asked}) == 1
    )
    assert [asked.path for asked in peer.asked] == ["/hook"] * 3  # the redirect led nowhere


def test_a_message_is_given_up_after_the_last_try_and_the_next_one_is_new(
    hub: ChannelHub, peered: Callable[[Answer], HttpPeer]
) -> None:
    peer = hook(hub, peered, 500)
    hub.move(1, 2)
    for _ in range(len(webhook.RETRY_SECONDS) + 1):
        with pytest.raises(ChannelFailed):
            hub.run("hook")
    assert hub.state("hook").alarmed_at is not None
    assert hub.run("hook").taken == 0  # nothing new to say: no proof that anybody hears again
    assert hub.state("hook").alarmed_at is not None
    hub.move(2, 3)
    peer.answer = lambda asked: Answering(200)
    assert hub.run("hook").taken == 1
    assert hub.state("hook").alarmed_at is None
    ids = [asked.headers["webhook-id"] for asked in peer.asked]
    assert (len(ids), len(set(ids[:10])), len(set(ids))) == (11, 1, 2)


def test_a_receiver_that_is_gone_is_told_nothing_more_until_a_person_says_so(
    hub: ChannelHub, peered: Callable[[Answer], HttpPeer]
) -> None:
    hook(hub, peered, 410)
    hub.move(1, 2)
    with pytest.raises(ChannelFailed, match="410"):
        hub.run("hook")
    assert hub.state("hook").disabled
    assert hub.channels().due(utc_now() + timedelta(days=9)) == []


def test_who_may_not_pull_the_slice_is_not_told_of_it(hub: ChannelHub, peered: Callable[[Answer], HttpPeer]) -> None:
    peer = hook(hub, peered, 200)
    hub.move(1, 2)
    with hub.tools.database.begin() as connection:
        set_state(connection, SYSTEM_ACTOR, "renshe-moves", "suspended")
    with pytest.raises(Exception, match="renshe-moves"):
        hub.run("hook")
    assert peer.asked == []


def test_a_webhook_to_the_hubs_own_network_is_not_sent(
    hub: ChannelHub, peered: Callable[[Answer], HttpPeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = hook(hub, peered, 200)
    hub.move(1, 2)
    closed = msgspec.structs.replace(hub.settings, outbound_networks=())
    hub.tools = msgspec.structs.replace(hub.tools, settings=closed)
    with pytest.raises(ChannelFailed, match=r"127\.0\.0\.1"):
        hub.run("hook")
    assert (peer.asked, hub.state("hook").alarmed_at is None) == ([], False)
    monkeypatch.setattr(outbound, "is_public", lambda address: True)
    assert hub.run("hook").taken == 1  # the check of the address is what held it back
