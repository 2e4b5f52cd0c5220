"""A request's conditions are chosen in words: by field, condition and value, without JavaScript, and told beside each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.testing import TestClient

from hub.database import Database, run_sql
from hub.registry.areas import load_area_index
from hub.registry.slice_definition import Condition
from hub.settings import Settings
from hub.sharing.requests import load_request
from mappings.catalogue import Catalogue
from tests.desk_visits import visitor
from tests.doors import Hub, founded_hub, open_account
from tests.licensed import MOVES, ask, wanted

MOVE = "only-hukou_move_in"
TICKED = {"chosen-hukou_move_in": "1", "field-hukou_move_in-name": "on", "field-hukou_move_in-move_date": "on"}


@pytest.fixture
def hub(database: Database, app_database: Database, settings: Settings, catalogue: Catalogue) -> Iterator[Hub]:
    with founded_hub(database, app_database, settings, catalogue) as founded:
        with founded.served.begin() as connection:
            open_account(connection, "weishu", "health", "data_officer")
        yield founded


def terms() -> dict[str, Any]:
    return {name: value for name, value in wanted().items() if name != "definition"}


def begun(field: str, number: int = 0) -> dict[str, str]:
    """The line in which another condition is begun, with its field chosen."""
    return {f"{MOVE}-{number}-field": field, "more": f"{MOVE}-{number}"}


def line(number: int, field: str, op: str, values: str = "", *ticks: str) -> dict[str, str]:
    at = f"{MOVE}-{number}"
    given = {f"{at}-field": field, f"{at}-op": op} | dict.fromkeys((f"{at}-is-{one}" for one in ticks), "on")
    return given | ({f"{at}-values": values} if values else {})


def conditions_of(hub: Hub, place: str) -> tuple[Condition, ...]:
    with hub.worker.begin() as connection:
        number = run_sql(connection, "SELECT request_id FROM {d}.licence_request")[0][0]
        assert str(number) in place
        return load_request(connection, number).wanted.definition.record_types[0].conditions  # type: ignore[arg-type]


def test_a_condition_is_chosen_step_by_step_and_several_hold_together(hub: Hub, catalogue: Catalogue) -> None:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        asks = visitor(hub, client, "weishu")
        first = asks.post("/licences/new?kind=new", **TICKED, **terms(), **begun("sex"))
        assert first.status_code == 200
        assert f'name="{MOVE}-0-is-1"' in first.text and "是以下之一" in first.text
        assert 'value="from"' not in first.text  # nobody is asked whether a sex is later than another
        assert f'name="{MOVE}-1-field"' in first.text  # and one more may follow
        assert terms()["purpose"] in first.text  # what was typed stays
        second = asks.post(
            "/licences/new?kind=new", **TICKED, **terms(), **line(0, "sex", "in", "", "1"), **begun("move_date", 1)
        )
        assert re.search(rf'<input[^>]*id="{MOVE}-1-values"[^>]*type="date"', second.text)
        assert re.search(rf'name="{MOVE}-0-is-1" checked', second.text)
        third = asks.post(
            "/licences/new?kind=new", **TICKED, **terms(), **line(0, "sex", "in", "", "1"),
            **line(1, "move_date", "from", "2026-01-01"), **begun("live_div", 2),
        )  # fmt: skip
        assert "勾选镇街即包括全部村居" in third.text
        whole = line(0, "sex", "in", "", "1") | line(1, "move_date", "from", "2026-01-01")
        done = asks.post("/licences/new?kind=new", **TICKED, **terms(), **whole)
        assert done.headers["location"].endswith("done=submitted")
        place = done.headers["location"].partition("?")[0]
        assert conditions_of(hub, place) == (
            Condition("sex", "in", ("1",)),
            Condition("move_date", "from", ("2026-01-01",)),
        )
        shown = asks.get(place).text
        assert "男" in shown  # told in words, too


def test_the_request_is_the_one_the_api_makes_of_the_same_conditions(hub: Hub, catalogue: Catalogue) -> None:
    conditions = [
        {"field": "sex", "op": "not_in", "values": ["1"]},
        {"field": "reason", "op": "not_empty", "values": []},
    ]
    sent = ask(hub, catalogue, {**MOVES, "conditions": conditions})
    with TestClient(hub.app, base_url="https://hub.test") as client:
        asks = visitor(hub, client, "weishu")
        fields = dict.fromkeys((f"field-hukou_move_in-{name}" for name in MOVES["fields"]), "on")
        chosen = line(0, "sex", "not_in", "", "1") | line(1, "reason", "not_empty")
        done = asks.post("/licences/new?kind=new", **{"chosen-hukou_move_in": "1"}, **fields, **terms(), **chosen)
        assert str(sent.request_id) in done.headers["location"]  # the same request, so the same definition


def test_a_ticked_town_is_all_its_codes_and_a_village_may_be_typed_by_its_name(hub: Hub, catalogue: Catalogue) -> None:
    with hub.worker.begin() as connection:
        areas = load_area_index(connection)
    town = next(area for area, kind in areas.kind.items() if kind == "town" and len(areas.expand(area)) > 1)
    code, below = areas.code_of[town], {areas.code_of[one] for one in areas.expand(town)}
    other = next(
        area for area, kind in areas.kind.items()
        if kind == "village" and areas.code_of[area] not in below and len(areas.named(areas.name_of[area])) == 1
    )  # fmt: skip
    with TestClient(hub.app, base_url="https://hub.test") as client:
        asks = visitor(hub, client, "weishu")
        chosen = line(0, "live_div", "in", areas.name_of[other], code)
        done = asks.post("/licences/new?kind=new", **TICKED, **terms(), **chosen, later="1")
        place = done.headers["location"].partition("?")[0]
        (condition,) = conditions_of(hub, place)
        assert {*below, areas.code_of[other]} <= set(condition.values)
        again = asks.get(f"{place}/edit").text
        assert f'name="{MOVE}-0-is-{code}" checked' in again
        assert f'value="{areas.code_of[other]}"' in again
        assert areas.name_of[town] in asks.get(place).text
        strange = asks.post("/licences/new?kind=new", **TICKED, **terms(), **line(0, "live_div", "in", "不存在的村"))
        assert (strange.status_code, "“不存在的村”不是本区的区划" in strange.text) == (422, True)


def test_a_town_left_out_by_its_name_is_left_out_whole_and_its_code_alone_reads_as_no_more(hub: Hub) -> None:
    with hub.worker.begin() as connection:
        areas = load_area_index(connection)
    town = next(area for area, kind in areas.kind.items() if kind == "town" and len(areas.expand(area)) > 1)
    code, name, below = areas.code_of[town], areas.name_of[town], {areas.code_of[one] for one in areas.expand(town)}
    with TestClient(hub.app, base_url="https://hub.test") as client:
        asks = visitor(hub, client, "weishu")
        typed = line(0, "live_div", "not_in", name) | line(1, "hukou_div", "not_in", code)
        done = asks.post("/licences/new?kind=new", **TICKED, **terms(), **typed, later="1")
        place = done.headers["location"].partition("?")[0]
        whole, alone = conditions_of(hub, place)
        assert below <= set(whole.values) and alone.values == (code,)
        shown = asks.get(place).text
        assert shown.count(f"{name}（仅本级代码，不含下辖）") == 1 and shown.count(f">{name}<") == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (line(0, "sex", "in"), "请至少选择或填写一个取值。"),
        (line(0, "move_date", "from"), "请填写一个取值。"),
        (line(0, "sex", "empty", "", "1"), "不带取值"),
        (line(0, "move_date", "from", "2026-11"), "请填日期 YYYY-MM-DD"),
        (line(0, "move_date", "from", "2026-11-05") | line(1, "move_date", "to", "2026-11-01"), "请对调"),
        (line(0, "sex", "in", "", "1") | line(1, "sex", "in", "", "2"), "重复"),
        (line(0, "name", "not_empty") | {"mask-hukou_move_in-name": "on"}, "遮蔽的字段不能作条件"),
        ({"more": f"{MOVE}-0", f"{MOVE}-0-field": ""}, "请先选择数据项。"),
    ],
)
def test_what_is_wrong_is_told_beside_the_condition_and_nothing_is_kept(
    hub: Hub, given: dict[str, str], told: str
) -> None:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        page = visitor(hub, client, "weishu").post("/licences/new?kind=new", **TICKED, **terms(), **given)
        beside = re.search(rf'class="field-error" id="({MOVE}-\d)-error">([^<]*)<', page.text)
        assert beside is not None and told in beside[2]
        assert f'href="#{beside[1]}"' in page.text
        assert re.search(r'aria-invalid="true"', page.text)
        assert terms()["purpose"] in page.text
    with hub.worker.begin() as connection:
        assert not run_sql(connection, "SELECT 1 FROM {d}.licence_request")


def test_a_condition_is_taken_out_by_its_tick(hub: Hub) -> None:
    with TestClient(hub.app, base_url="https://hub.test") as client:
        asks = visitor(hub, client, "weishu")
        chosen = line(0, "sex", "in", "", "1") | line(1, "reason", "empty") | {f"{MOVE}-0-drop": "on"}
        done = asks.post("/licences/new?kind=new", **TICKED, **terms(), **chosen)
        assert conditions_of(hub, done.headers["location"]) == (Condition("reason", "empty"),)
