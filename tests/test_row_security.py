"""Row security and grants alone, every predicate of the hub left away: whole tables are read, nobody else's row comes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from uuid import UUID

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from hub.database import NOTHING, Database, Reach, new_uuid, run_sql, set_reach, utc_now
from hub.embedded import Cluster, Urls
from hub.operations.doctor import Finding, examine
from hub.operations.provisioning import provision
from hub.operations.row_security import guarded_tables
from hub.registry.accounts import ROLE_KINDS
from hub.registry.permissions import Actor, Right
from hub.registry.scope import is_care_only, open_slice, open_submission, reach_of, types_by_area
from hub.registry.slice_definition import SliceDefinition, SliceType
from hub.settings import Settings
from mappings.catalogue import Catalogue, RecordType
from tests import district
from tests.conftest import clone_template, execute
from tests.district import BAILU, GUANGMING, QINGXI, QINGXI_OFFICE, actor

OPEN_TABLES = {"area", "area_version", "feed_head", "feed_batch", "hub_version"} | {
    "monthly_round",
    "round_town",
    "balance",
    "balance_month",
    "balance_joined",
    "catalogue_entry",
    "catalogue_version",
    "quality_head",
}  # nobody's data in them
SOURCES = ("public_security", "labour", "mch_station", QINGXI_OFFICE)
PLACES = ((QINGXI, GUANGMING), (BAILU,))
CLOSED = ("difference", "operation", "audit", "audit_seal", "audit_archive")


class Filled:
    """A district with one record of every type from every source in every place, and what belongs to it."""

    def __init__(self, connection: Connection, catalogue: Catalogue) -> None:
        self.catalogue, self.submissions = catalogue, {}
        district.found(connection)
        for source in (*SOURCES, "health"):
            self.submissions[source] = _submission(connection, source)
        types = [one for one in catalogue.record_types.values() if one.enabled]
        for number, (record_type, source, areas) in enumerate(product(types, SOURCES, PLACES), 1):
            self._record(connection, record_type, source, list(areas), number)
        for home in (GUANGMING, BAILU):
            _person(connection, home)

    def _record(
        self, connection: Connection, record_type: RecordType, source: str, areas: list[int], number: int
    ) -> None:
        record_id = new_uuid()
        envelope = {
            "record": record_id, "source": source, "key": str(number), "submission": self.submissions[source],
            "now": utc_now(), "areas": areas,
        }  # fmt: skip
        for table in (f"rec_{record_type.code}", f"rec_{record_type.code}_history"):
            run_sql(
                connection,
                f"INSERT INTO {{d}}.{table} (record_id, version, source, record_key, voided, submission_id, row_no,"
                " recorded_at, content_digest, areas) VALUES (:record, 1, :source, :key, false, :submission, 1, :now,"
                " '', :areas)",
                **envelope,
            )
        if record_type.clinical_fields:
            run_sql(
                connection,
                f"INSERT INTO {{d}}.rec_{record_type.code}_sealed VALUES (:record, 1, 'sealed')",
                record=record_id,
            )
        run_sql(
            connection,
            "INSERT INTO {d}.change_log VALUES (:number, 1, :type, :record, 1, 'new', NULL, NULL, :areas, :submission, :now)",
            number=number, type=record_type.code, record=record_id, areas=areas,
            submission=self.submissions[source], now=utc_now(),
        )  # fmt: skip


def _submission(connection: Connection, organisation: str) -> UUID:
    submission_id = new_uuid()
    values = {"id": submission_id, "number": organisation, "organisation": organisation, "now": utc_now()}
    run_sql(
        connection,
        "INSERT INTO {d}.submission (submission_id, receipt_number, operation_id, organisation, record_type, door, actor,"
        " file_name, file_size, file_sha256, stored_as, state, received_at) VALUES (:id, :number, :number, :organisation,"
        " 'marriage', 'api', 'a', 'f', 1, '', '', 'received', :now)",
        **values,
    )
    run_sql(
        connection,
        "INSERT INTO {d}.row_error (submission_id, row_no, error_no, sheet_row, code, level, value)"
        " VALUES (:id, 1, 1, 2, 'E_X', 'error', 'v')",
        id=submission_id,
    )
    subscription = {
        "id": new_uuid(),
        "code": f"slice-of-{organisation}",
        "organisation": organisation,
        "now": utc_now(),
    }
    run_sql(
        connection,
        "INSERT INTO {d}.subscription (subscription_id, code, organisation, title, state, created_at)"
        " VALUES (:id, :code, :organisation, 't', 'active', :now)",
        **subscription,
    )
    run_sql(
        connection,
        "INSERT INTO {d}.subscription_version VALUES (:id, 1, '{{}}'::jsonb, 'p', 'l', '', NULL, :now)".replace(
            "{{}}", "{}"
        ),
        id=subscription["id"],
        now=utc_now(),
    )
    run_sql(
        connection,
        "INSERT INTO {d}.delivery (subscription_id, epoch, page_no, kind, definition_version, from_seq, to_seq,"
        " first_delivery_no, count, digest, delivered_at) VALUES (:id, 'e', 1, 'page', 1, 0, 1, 1, 1, '', :now)",
        id=subscription["id"],
        now=utc_now(),
    )
    run_sql(
        connection,
        "INSERT INTO {d}.idempotency_key VALUES (:organisation, 'k', '', :id, :now)",
        organisation=organisation, id=submission_id, now=utc_now(),
    )  # fmt: skip
    return submission_id


def _person(connection: Connection, home: int) -> None:
    person_id = new_uuid()
    values = {"id": person_id, "home": home, "now": utc_now(), "number": f"number-{home}"}
    run_sql(connection, "INSERT INTO {d}.person VALUES (:id, :home, NULL, NULL, :now)", **values)
    run_sql(connection, "INSERT INTO {d}.person_identifier VALUES ('id_no', :number, :id, NULL, NULL)", **values)


@pytest.fixture(scope="module")
def walled(cluster: Cluster) -> Iterator[Urls]:
    """One database for all these tests: they read, and what they write they take back."""
    clone_template(cluster, "walled")
    yield cluster.urls("walled")
    execute(cluster, "DROP DATABASE walled WITH (FORCE)")


@pytest.fixture(scope="module")
def owner_database(walled: Urls) -> Iterator[Database]:
    database = Database(walled.owner, "d999001")
    yield database
    database.close()


@pytest.fixture(scope="module")
def app_database(walled: Urls) -> Iterator[Database]:
    database = Database(walled.app, "d999001")
    yield database
    database.close()


@pytest.fixture(scope="module")
def filled(owner_database: Database, catalogue: Catalogue) -> Filled:
    with owner_database.begin() as connection:
        return Filled(connection, catalogue)


def actors() -> Iterator[Actor]:
    """Every role in an organisation of every kind that may have it."""
    by_kind = {kind: code for code, kind in district.KINDS.items()} | {"town": QINGXI_OFFICE}
    for role, kinds in ROLE_KINDS.items():
        for kind in sorted(kinds & by_kind.keys()):
            area = QINGXI if kind == "town" else None
            yield actor(by_kind[kind], role, name=f"{role}@{kind}", area_id=area)


WHO = [pytest.param(each, id=each.name) for each in actors()]


def read(connection: Connection, table: str, columns: str = "*") -> list[tuple[object, ...]]:
    return run_sql(connection, f"SELECT {columns} FROM {{d}}.{table}")


# ---- who reads whole tables ----


@pytest.mark.parametrize("who", WHO)
def test_whole_tables_give_a_role_its_own_rows_only(filled: Filled, app_database: Database, who: Actor) -> None:
    own = who.organisation if {Right.SUBMIT, Right.READ_SUBMISSION, Right.PULL_SLICE} & who.rights else None
    sees_ledger = bool({Right.READ_ALL_SUBMISSIONS, Right.READ_MEASURES} & who.rights)
    everybody = {*SOURCES, "health"}
    with app_database.begin(reach_of(who)) as connection:
        senders = {organisation for (organisation,) in read(connection, "submission", "organisation")}
        assert senders == (everybody if sees_ledger else {own} & everybody)
        values = {sender for (sender,) in run_sql(connection, _ERRORS_BY_SENDER)}
        assert values == (everybody if Right.READ_ALL_SUBMISSIONS in who.rights else {own} & everybody)
        assert {each for (each,) in read(connection, "idempotency_key", "organisation")} <= {own}
        subscribers = everybody if Right.READ_ALL_SUBMISSIONS in who.rights else {own} & everybody
        assert {each for (each,) in read(connection, "subscription", "organisation")} == subscribers
        for table in ("subscription_version", "delivery"):
            assert len(read(connection, table)) == len(subscribers)
        rewritten = run_sql(connection, "UPDATE {d}.delivery SET mismatch = true RETURNING subscription_id")
        assert len(rewritten) == len({own} & everybody)


_ERRORS_BY_SENDER = "SELECT s.organisation FROM {d}.row_error e JOIN {d}.submission s USING (submission_id)"


@pytest.mark.parametrize("who", WHO)
def test_whole_record_tables_give_ones_own_and_ones_areas(
    filled: Filled, app_database: Database, catalogue: Catalogue, who: Actor
) -> None:
    open_types = types_by_area(catalogue)
    seen = 0
    with app_database.begin(reach_of(who)) as connection:
        for record_type in catalogue.record_types.values():
            if not record_type.enabled:
                continue
            by_area = who.kind == "town" and Right.READ_CHANGE_LIST in who.rights and record_type.code in open_types
            for table in (f"rec_{record_type.code}", f"rec_{record_type.code}_history", f"ver_{record_type.code}"):
                rows = read(connection, table, "source, areas")
                seen += len(rows)
                others = [row for row in rows if not (row[0] == who.organisation or (by_area and QINGXI in row[1]))]  # type: ignore[operator]
                assert others == [], table
    assert bool(seen) == bool({Right.SUBMIT, Right.READ_SUBMISSION} & who.rights and who.organisation in SOURCES)


@pytest.mark.parametrize("who", WHO)
def test_persons_and_the_log_are_those_of_ones_own_area(
    filled: Filled, app_database: Database, catalogue: Catalogue, who: Actor
) -> None:
    is_town = who.kind == "town" and Right.READ_CHANGE_LIST in who.rights
    with app_database.begin(reach_of(who)) as connection:
        assert read(connection, "person", "home_area") == ([(GUANGMING,)] if is_town else [])
        assert len(read(connection, "person_identifier")) == (1 if is_town else 0)
        log = read(connection, "change_log", "record_type, areas_after")
    assert bool(log) == is_town
    assert {record_type for record_type, _ in log} <= {*types_by_area(catalogue)}
    assert all(QINGXI in areas for _, areas in log)  # type: ignore[operator]


@pytest.mark.parametrize("who", WHO)
def test_no_role_reads_a_clinical_field_or_anything_staged(
    filled: Filled, app_database: Database, catalogue: Catalogue, who: Actor
) -> None:
    types = [one for one in catalogue.record_types.values() if one.enabled]
    sealed = [f"rec_{one.code}_sealed" for one in types if one.clinical_fields]
    staged = [f"stg_{one.code}" for one in types]
    assert sealed and staged
    for table in (*sealed, *staged, *CLOSED):
        with (
            pytest.raises(ProgrammingError, match="permission denied"),
            app_database.begin(reach_of(who)) as connection,
        ):
            read(connection, table)


@pytest.mark.parametrize("who", WHO)
def test_no_serving_transaction_writes_records_persons_or_the_log(
    filled: Filled, app_database: Database, catalogue: Catalogue, who: Actor
) -> None:
    for table in ("person", "person_identifier", "change_log", "rec_marriage", "rec_marriage_history", "row_error"):
        for statement in ("DELETE FROM {d}.%s", "UPDATE {d}.%s SET submission_id = NULL", "TRUNCATE {d}.%s"):
            with (
                pytest.raises(ProgrammingError, match=r"permission denied|does not exist"),
                app_database.begin(reach_of(who)) as connection,
            ):
                run_sql(connection, statement % table)


@pytest.mark.parametrize("who", WHO)
def test_nobody_changes_or_adds_to_anothers_ledger(filled: Filled, app_database: Database, who: Actor) -> None:
    with app_database.begin(reach_of(who)) as connection:
        changed = run_sql(connection, "UPDATE {d}.submission SET facts = '[]' RETURNING organisation")
        assert {organisation for (organisation,) in changed} <= {who.organisation}
        renamed = run_sql(connection, "UPDATE {d}.subscription SET title = 'x' RETURNING organisation")
        assert {organisation for (organisation,) in renamed} <= {who.organisation}
        connection.rollback()
    with pytest.raises(ProgrammingError, match="row-level security"), app_database.begin(reach_of(who)) as connection:
        _submission(connection, "commerce" if who.organisation != "commerce" else "labour")


def test_a_transaction_that_says_nothing_sees_nothing(
    filled: Filled, app_database: Database, catalogue: Catalogue
) -> None:
    with app_database.begin(NOTHING) as connection:
        assert {table: len(read(connection, table)) for table in guarded_tables(catalogue)} == dict.fromkeys(
            guarded_tables(catalogue), 0
        )


# ---- slices ----


def slice_of(*types: str, areas: tuple[int, ...] | None = None) -> SliceDefinition:
    return SliceDefinition(tuple(SliceType(one, ("record_key",)) for one in types), areas)


def test_an_opened_slice_shows_its_types_in_its_areas(
    filled: Filled, app_database: Database, catalogue: Catalogue
) -> None:
    with app_database.begin(reach_of(actor("commerce"))) as connection:
        open_slice(connection, slice_of("marriage", areas=(BAILU,)), "department")
        assert {tuple(areas) for (areas,) in read(connection, "rec_marriage", "areas")} == {(BAILU,)}  # type: ignore[arg-type]
        assert read(connection, "rec_divorce") == []
        assert {each for (each,) in read(connection, "change_log", "record_type")} == {"marriage"}
        assert read(connection, "person") == []
        open_slice(connection, slice_of("divorce"), "department")
        assert len(read(connection, "rec_divorce")) == len(SOURCES) * len(PLACES)
        assert read(connection, "rec_marriage") == []


def test_only_a_care_slice_opens_what_is_clinical(filled: Filled, app_database: Database, catalogue: Catalogue) -> None:
    booking = slice_of("antenatal_booking")
    assert is_care_only(catalogue.record_types["antenatal_booking"])
    with app_database.begin(reach_of(actor("mch_station", "care_worker"))) as connection:
        open_slice(connection, booking, "care")
        assert len(read(connection, "rec_antenatal_booking")) == len(SOURCES) * len(PLACES)
        assert len(read(connection, "rec_antenatal_booking_sealed")) == len(SOURCES) * len(PLACES)
    with app_database.begin(reach_of(actor("health"))) as connection:
        open_slice(connection, booking, "department")
        assert read(connection, "rec_antenatal_booking") == []
    with pytest.raises(ProgrammingError, match="permission denied"), app_database.begin() as connection:
        open_slice(connection, booking, "department")
        read(connection, "rec_antenatal_booking_sealed")


def test_care_ends_with_its_transaction(filled: Filled, app_database: Database) -> None:
    with app_database.begin(reach_of(actor("mch_station", "care_worker"))) as connection:
        open_slice(connection, slice_of("antenatal_booking"), "care")
        assert run_sql(connection, "SELECT current_user") == [("hub_care",)]
    for _ in range(3):
        with app_database.begin() as connection:
            assert run_sql(connection, "SELECT current_user") == [("hub_app",)]
            assert read(connection, "rec_antenatal_booking") == []


def test_the_one_submission_looked_into_is_never_a_clinical_one(filled: Filled, app_database: Database) -> None:
    with app_database.begin(reach_of(actor("bureau", "bureau_operator"))) as connection:
        open_submission(connection, filled.submissions["labour"])
        assert {source for (source,) in read(connection, "rec_marriage", "source")} == {"labour"}
        assert read(connection, "rec_antenatal_booking") == []


# ---- the wall itself ----


def test_every_table_the_web_door_reads_is_behind_the_wall_or_nobodys(
    app_database: Database, catalogue: Catalogue
) -> None:
    with app_database.begin() as connection:
        readable = run_sql(
            connection,
            "SELECT tablename FROM pg_tables WHERE schemaname = :d"
            " AND has_table_privilege(current_user, format('%I.%I', schemaname, tablename), 'SELECT')",
            d=app_database.district,
        )
        unguarded = run_sql(
            connection,
            "SELECT relname FROM pg_class WHERE relnamespace = CAST(:d AS regnamespace) AND relkind = 'r'"
            " AND NOT (relrowsecurity AND relforcerowsecurity)",
            d=app_database.district,
        )
    assert {table for (table,) in readable} - {*guarded_tables(catalogue)} == OPEN_TABLES
    assert {table for (table,) in unguarded} & {*guarded_tables(catalogue)} == set()


def test_views_ask_with_their_callers_rights(app_database: Database) -> None:
    with app_database.begin() as connection:
        views = run_sql(
            connection,
            "SELECT relname FROM pg_class WHERE relnamespace = CAST(:d AS regnamespace) AND relkind = 'v'"
            " AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)",
            d=app_database.district,
        )
        assert views == [("submission_kind",)]  # ids and kinds, of nobody
        columns = run_sql(connection, "SELECT * FROM {d}.submission_kind LIMIT 0")
        assert columns == []


def test_the_doctor_sees_a_wall_with_a_hole(
    urls: Urls, settings: Settings, database: Database, catalogue: Catalogue
) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)

    def finding() -> Finding:
        return next(each for each in examine(settings, database, catalogue) if each.code == "D_ROWS")

    assert finding().state == "ok"
    owner = Database(urls.owner, settings.district)
    with owner.begin() as connection:
        run_sql(connection, "CREATE POLICY hole ON {d}.rec_divorce FOR SELECT TO hub_app USING (true)")
    assert (finding().state, finding().detail) == ("fail", "rec_divorce")
    provision(urls.owner, settings, catalogue)
    assert finding().state == "ok"
    with owner.begin() as connection:
        run_sql(connection, "ALTER TABLE {d}.person NO FORCE ROW LEVEL SECURITY")
    assert (finding().state, finding().detail) == ("fail", "person")
    owner.close()


def test_without_its_policies_the_wall_is_gone(
    filled: Filled, app_database: Database, owner_database: Database
) -> None:
    """The tests above can fail: with row security switched off the same reading gives everybody's rows."""
    for state, seen in (("DISABLE", len(SOURCES) * len(PLACES)), ("ENABLE", 0)):
        with owner_database.begin() as connection:
            run_sql(connection, f"ALTER TABLE {{d}}.rec_marriage {state} ROW LEVEL SECURITY")
        with app_database.begin(reach_of(actor("commerce"))) as connection:
            assert len(read(connection, "rec_marriage")) == seen


@pytest.mark.parametrize("value", ["x'; RESET ALL; --", "a b", 'a"b', "a;b", "a\\b", "'"])
def test_a_setting_takes_nothing_that_could_end_its_statement(app_database: Database, value: str) -> None:
    reach: Reach = {"organisation": value}
    with pytest.raises(ValueError, match="not a value"), app_database.begin(reach):
        pass
    with app_database.begin() as connection, pytest.raises(ValueError, match="not a value"):
        set_reach(connection, reach)
