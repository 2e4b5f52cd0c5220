"""What there is to see on every page: units at work in one month, with something of each kind waiting for each of them."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hub import jobs
from hub.casework.challenges import Raised, raise_challenges
from hub.casework.rounds import open_round
from hub.database import run_sql, utc_now
from hub.exchange.changelog import number_changes
from hub.exchange.pipeline import apply_staged
from hub.exchange.slices import FeedContext
from hub.keyring import Keyring
from hub.people.comparison import compare
from hub.people.pairs import find_pairs
from hub.registry import requests
from hub.registry.month_calendar import month_after
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor
from hub.registry.scope import reach_of
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.registry.subscriptions import Terms, create_subscription
from hub.sharing.certificates import issue_certificate
from hub.sharing.entry_keeping import begin_version
from hub.sharing.requests import draft_request
from mappings.catalogue import Catalogue
from tests.comparison_cases import cancelled, died, employed, on_roll
from tests.district import GUANGMING, actor
from tests.doors import OTHER_TOWN, THIS_MONTH, TOWN, csv_of, identity_number, move_in, open_account
from tests.licensed import JOBS, MOVES, ask, wanted
from tests.matrix_hub import Asking, Matrix, new_asking
from tests.noticed import tell
from tests.office_files import encrypted, large_enough_to_encrypt
from tests.round_hub import answer, give, items_of
from tests.staged import stage
from tests.test_comparisons import tell as tell_records
from tests.test_rolls import Town, person

POLICE = "public_security"
NEXT_MONTH = month_after(THIS_MONTH, 1)
STAFF = (
    ("sweep-clerk", "department_clerk", POLICE, "department"),
    ("sweep-data", "data_officer", POLICE, "department"),
    ("sweep-town", "town_officer", TOWN, "town"),
    ("sweep-care", "care_worker", "mch_station", "care"),
    ("sweep-bureau", "bureau_operator", "bureau", "bureau"),
    ("sweep-leader", "bureau_leader", "bureau", "bureau"),
    ("sweep-system", "system_administrator", "bureau", "bureau"),
    ("sweep-security", "security_administrator", "bureau", "bureau"),
    ("sweep-auditor", "auditor", "bureau", "bureau"),
    ("sweep-machine", "integrator", POLICE, "department"),
)  # fmt: skip
CLERK, DATA, OFFICER, CARE = (
    actor(POLICE, "department_clerk", name="sweep-clerk"),
    actor(POLICE, "data_officer", name="sweep-data"),
    actor(TOWN, "town_officer", name="sweep-town"),
    actor("mch_station", "care_worker", name="sweep-care", kind="care"),
)


def staff_of(matrix: Matrix) -> dict[str, Asking]:
    """One account of every role."""
    with matrix.hub.served.begin() as connection:
        found = {role: new_asking(connection, *one) for one in STAFF for role in (one[1],)}
        open_account(connection, "spare-clerk", POLICE, "department_clerk")
    assert found.keys() == ROLES.keys(), "an account of every role walks through the pages"
    return found


def stock(matrix: Matrix, catalogue: Catalogue) -> None:
    """Call once, on a founded matrix."""
    town = Town(matrix.hub, catalogue)
    _send_files(matrix, catalogue)
    _ask_for_slices(matrix, catalogue)
    _ask_for_access(matrix)
    _compare_roll(town)
    _judge_people(matrix, catalogue)
    _answer_lines(matrix, catalogue)
    _tell_towns(matrix)


def _send_files(matrix: Matrix, catalogue: Catalogue) -> None:
    """Good, wrong, of unknown columns, locked, unusual and on trial; a town's and an institution's own."""
    rows = [move_in(serial) for serial in range(20, 26)]
    wrong = [*rows, move_in(26, 公民身份号码="999001199003070000"), move_in(27, 迁入日期="2026-13-45")]
    _send(matrix, CLERK, csv_of(*wrong), "moves.csv")
    _send(matrix, CLERK, csv_of(*rows).replace("公民身份号码".encode(), "身份证".encode()), "other-columns.csv")
    _send(matrix, CLERK, encrypted(large_enough_to_encrypt(), "9527"), "locked.xlsx")
    _send(matrix, CLERK, csv_of(move_in(28), move_in(29, 迁入日期="x")), "trial.csv", dry_run=True)
    _send(matrix, CLERK, csv_of(move_in(20, 姓名="李晓明")), "late.csv", kind="backfill")
    matrix.hub.work()


def _send(matrix: Matrix, who: Actor, content: bytes, name: str, **told: Any) -> None:
    options: dict[str, Any] = {"record_type": "hukou_move_in", "period": THIS_MONTH, "door": "upload", **told}
    jobs.accept(
        matrix.hub.served, matrix.hub.settings, who, stream=io.BytesIO(content), file_name=name,
        organisation=who.organisation, **options,
    )  # fmt: skip


def _ask_for_slices(matrix: Matrix, catalogue: Catalogue) -> None:
    """Asked of the police and by them; one subscription of theirs, with a certificate."""
    ask(matrix.hub, catalogue, MOVES)
    ask(matrix.hub, catalogue, JOBS, who=DATA, title="就业人员")
    ask(matrix.hub, catalogue, MOVES, who=OFFICER, title="本街道迁入")
    hub, now = matrix.hub, utc_now()
    with hub.served.begin(reach_of(DATA)) as connection:  # begun and not handed in
        draft_request(connection, hub.settings, catalogue, DATA, "new", "", wanted(JOBS, title="草稿"), now)
        begin_version(connection, hub.settings, DATA, catalogue, "hukou_move_in", "职责调整", now)
    reader = actor(POLICE, "integrator", name="sweep-machine")
    context = FeedContext(catalogue, Keyring.load(matrix.hub.settings.home))
    with matrix.hub.served.begin(reach_of(SYSTEM_ACTOR)) as connection:
        create_subscription(
            connection, SYSTEM_ACTOR, catalogue, code="jobs-police", organisation=POLICE, title="就业",
            definition=SliceDefinition((SliceType("employment", ("name", "id_no", "start_date")),)),
            terms=Terms(purpose="核对", legal_basis="条例"),
        )  # fmt: skip
    zone = matrix.hub.settings.time_zone
    with matrix.hub.served.begin(reach_of(reader)) as connection:
        issue_certificate(connection, reader, context, "jobs-police", THIS_MONTH, zone)
    with matrix.hub.served.begin(reach_of(OFFICER)) as connection:
        issue_certificate(connection, actor(TOWN, "integrator"), context, f"moves-{TOWN}", THIS_MONTH, zone)


def _ask_for_access(matrix: Matrix) -> None:
    asked = {"name": "李某", "organisation": POLICE, "roles": ["department_clerk"]}
    with matrix.hub.served.begin() as connection:
        who = actor("bureau", "system_administrator", name="sweep-system")
        requests.ask(connection, who, "open_account", "lixin", asked, "新入职人员")
        requests.ask(connection, DATA, "reset_password", "spare-clerk", {}, "忘记密码")


def _compare_roll(town: Town) -> None:
    month = [person(serial) for serial in range(1, 5)]
    town.known(*month)
    town.upload(*month[1:], person(6), person(2, 现住地址="光明路2号"))


def _judge_people(matrix: Matrix, catalogue: Catalogue) -> None:
    """Two numbers of one man; the dead who are still registered, employed and on the roll."""
    wang = {"name": "王小明", "birth_date": "1990-03-07", "sex": "2", "phone": "19900001234", "household_no": "7"}
    roll = catalogue.record_types["resident_roll"]
    one, other = identity_number(901), identity_number(905)
    with matrix.hub.worker.begin() as connection:
        rows = [{"id_no": number, "person_area": GUANGMING, **wang} for number in (one, other)]
        submission_id = stage(connection, roll, rows)
        apply_staged(connection, submission_id, TOWN, roll, catalogue)
        number_changes(connection, submission_id)
        dead = identity_number(910)
        tell_records(connection, catalogue, [died(dead), employed(dead), on_roll(dead)])
        tell_records(connection, catalogue, [cancelled(identity_number(911))])
        compare(connection, catalogue, datetime.now(UTC))
    Town(matrix.hub, catalogue).derive()
    with matrix.hub.worker.begin() as connection:
        find_pairs(connection, catalogue)


def _answer_lines(matrix: Matrix, catalogue: Catalogue) -> None:
    """A month with lines in it; the town's word against the police, and the police's against labour."""
    with matrix.hub.worker.begin() as connection:
        open_round(connection, matrix.hub.settings, catalogue, SYSTEM_ACTOR, NEXT_MONTH, utc_now(), reason="核对各页面")
    line = items_of(matrix.hub, month=NEXT_MONTH)[0]
    told = answer(line, "2", right_name="李晓明") | {"round": NEXT_MONTH}
    give(matrix.hub, catalogue, told, who=OFFICER, period=NEXT_MONTH, door="upload")
    with matrix.hub.worker.begin() as connection:
        found = run_sql(connection, "SELECT record_id, source FROM {d}.rec_employment LIMIT 1")
        raised = [
            Raised(
                kind="untrue", record_type="employment", record_id=UUID(str(record)), raised_by=POLICE,
                raised_by_name="sweep-clerk", against=str(source), reason="查无此就业登记",
            )
            for record, source in found
        ]  # fmt: skip
        raise_challenges(connection, matrix.hub.settings, utc_now(), raised)


def _tell_towns(matrix: Matrix) -> None:
    with matrix.hub.worker.begin() as connection:
        for unit in (TOWN, OTHER_TOWN):
            tell(connection, matrix.hub.settings, unit, utc_now(), f"round/{THIS_MONTH}")
