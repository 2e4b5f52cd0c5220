"""The shipped mapping files are consistent; a broken one is named with its file, line and key."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from mappings.catalogue import CatalogueError
from mappings.checking import check_mappings
from mappings.loader import ROOT, load

MOVE_IN = "record_types/hukou_move_in.toml"
BIRTH = "record_types/birth_certificate.toml"
POLICE_MOVE_IN = "public_security/hukou_move_in.toml"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The shipped files, to be broken."""
    root = tmp_path / "mappings"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return root


def broken(root: Path, file: str, old: str, new: str) -> None:
    text = (root / file).read_text("utf-8")
    assert text.count(old) >= 1, f"{old!r} is not in {file}"
    (root / file).write_text(text.replace(old, new, 1), "utf-8")


def line_with(root: Path, file: str, marker: str) -> int:
    lines = (root / file).read_text("utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if marker in line]
    return number


def test_the_shipped_files_have_no_problem() -> None:
    assert check_mappings() == []


def test_the_catalogue_loads_within_a_second() -> None:
    begun = time.perf_counter()
    load()
    assert time.perf_counter() - begun < 1.0


# file, what is replaced, by what, text on the line that must be named, key, part of the reason
BREAKS = [
    pytest.param(
        MOVE_IN, 'title = "户口迁入"', "title = 户口迁入", "title = 户口迁入", "", "TOML", id="a syntax error"
    ),
    pytest.param(
        MOVE_IN, 'event_date = "move_date"', 'event_date = "move_date"\ncolour = "red"', "colour =",
        "colour", "unknown key", id="an unknown key",
    ),
    pytest.param(
        MOVE_IN, 'title = "迁移原因", ', 'title = "迁移原因", colour = "red", ', "colour =",
        "fields[3].colour", "unknown key", id="an unknown key inside a list",
    ),
    pytest.param(
        MOVE_IN, 'name = "permit_no", title = "准迁证编号"', 'name = "permit_no", title = 7', "title = 7",
        "fields[4].title", "wrong value", id="a wrong type",
    ),
    pytest.param(
        MOVE_IN, 'name = "station", title = "派出所", title_en = "Police station", type = "text"',
        'name = "station", title = "派出所", title_en = "Police station", type = "words"', 'type = "words"',
        "fields[10].type", "wrong value", id="an unknown field type",
    ),
    pytest.param(
        MOVE_IN, 'name = "household_no", title = "户号", ', 'name = "household_no", ', 'name = "household_no"',
        "fields[6].title", "missing key", id="a missing key",
    ),
    pytest.param(
        MOVE_IN, "required = true\nparts", "required = 1\nparts", "required = 1",
        "people[0].required", "wrong value", id="a wrong type inside a table",
    ),
    pytest.param(
        MOVE_IN, 'code_set = "relation"', 'code_set = "relations"', '"relations"',
        "fields[7].code_set", "unknown code set: relations", id="an unknown code set",
    ),
    pytest.param(
        MOVE_IN, ', code_set = "education"', "", 'name = "education"',
        "fields[8].code_set", "go together", id="a code without a code set",
    ),
    pytest.param(
        MOVE_IN, '"id_no", "move_date"]', '"id_no", "moved"]', "natural_key",
        "natural_key", "no such field: moved", id="a natural key that is no field",
    ),
    pytest.param(
        MOVE_IN, 'event_date = "move_date"', 'event_date = "moved"', "event_date",
        "event_date", "no such field: moved", id="an event date that is no field",
    ),
    pytest.param(
        MOVE_IN, 'event_date = "move_date"', 'event_date = "station"', "event_date =",
        "event_date", "not a date: station", id="an event date that is no date",
    ),
    pytest.param(
        MOVE_IN, 'field = "id_no" }', 'field = "number" }', "identifiers",
        "people[0].identifiers", "no such field: number", id="an identifier that is no field",
    ),
    pytest.param(
        MOVE_IN, 'kind = "id_no", field', 'kind = "tax_no", field', "identifiers",
        "people[0].identifiers", "tax_no", id="an unknown kind of identifier",
    ),
    pytest.param(
        MOVE_IN, 'area_parts = ["live_div"', 'area_parts = ["live_addr"', "area_parts",
        "people[0].area_parts", "live_addr", id="an area that is no area",
    ),
    pytest.param(
        MOVE_IN, 'parts = ["name", "id_no", "sex"', 'parts = ["name", "id_no", "height"', '"height"',
        "people[0].parts", "no such person part: height", id="an unknown part of a person",
    ),
    pytest.param(
        MOVE_IN, 'name = "permit_no"', 'name = "from_div"', 'title = "准迁证编号"',
        "fields[4].name", "duplicate field name: from_div", id="a field named twice",
    ),
    pytest.param(
        MOVE_IN, 'name = "permit_no"', 'name = "sex"', 'title = "准迁证编号"',
        "fields[4].name", "duplicate field name: sex", id="a field named like a part of the person",
    ),
    pytest.param(
        MOVE_IN, 'name = "permit_no"', 'name = "permit-no; drop"', '"permit-no; drop"',
        "fields[4].name", "unsafe name", id="a name that is no column",
    ),
    pytest.param(
        MOVE_IN, 'name = "permit_no"', 'name = "order"', 'name = "order"',
        "fields[4].name", "unsafe name: order", id="a word of SQL",
    ),
    pytest.param(
        MOVE_IN, 'name = "permit_no"', 'name = "person_ref"', 'name = "person_ref"',
        "fields[4].name", "a column of the hub itself", id="a column of the hub's own",
    ),
    pytest.param(
        MOVE_IN, 'role = "person"', 'role = "Person 1"', 'role = "Person 1"',
        "people[0].role", "unsafe name", id="an unsafe role",
    ),
    pytest.param(
        MOVE_IN, 'sources = ["public_security"]', 'sources = ["public_security", "tax_office"]', "tax_office",
        "sources", "unknown organisation: tax_office", id="an unknown source",
    ),
    pytest.param(
        MOVE_IN, 'sources = ["public_security"]', 'sources = ["public_security", "labour"]', "sources =",
        "sources", "no mapping for: labour", id="a source without a mapping",
    ),
    pytest.param(
        BIRTH, 'natural_key = ["cert_no"]', 'natural_key = ["cert_no", "weight_g"]', "natural_key",
        "natural_key", "clinical field cannot stand here: weight_g", id="a clinical field in the key",
    ),
    pytest.param(
        BIRTH, 'event_date = "birth_time"', 'event_date = "weight_g"', "event_date",
        "event_date", "clinical field cannot stand here", id="a clinical event date",
    ),
    pytest.param(
        BIRTH, 'field = "cert_no"', 'field = "weight_g"', '"weight_g" }',
        "people[0].identifiers", "clinical field cannot stand here", id="a clinical identifier",
    ),
    pytest.param(
        BIRTH, '"care", "health"]', '"care", "health", "town"]', "sources =",
        "sources", "may not send clinical fields: town", id="clinical fields from a town",
    ),
    pytest.param(
        "record_types/delivery_outcome.toml", 'sources = ["care"]', 'sources = ["care", "health"]', "sources =",
        "sources", "only organisations of kind care", id="a type of care sent from elsewhere",
    ),
    pytest.param(
        BIRTH, 'title = "父亲"\n', 'title = "父亲"\nrequired_parts = ["phone"]\n', 'required_parts = ["phone"]',
        "people[2].required_parts", "optional person", id="a required part of an optional person",
    ),
    pytest.param(
        "codes/sex.toml", 'value = "9"', 'value = "2"', 'title = "未说明的性别"',
        "codes[3].value", "duplicate, already means 2: 2", id="a code value twice",
    ),
    pytest.param(
        "codes/sex.toml", 'aliases = ["女"', 'aliases = ["男"', 'title = "女性"',
        "codes[2].aliases", "duplicate, already means 1: 男", id="an alias of two codes",
    ),
    pytest.param(
        POLICE_MOVE_IN, 'field = "permit_no"', 'field = "permit"', 'field = "permit"',
        "columns[12].field", "no such field: permit", id="a column naming no field",
    ),
    pytest.param(
        POLICE_MOVE_IN, 'field = "permit_no"', 'field = "reason"', 'header = "准迁证编号"',
        "columns[12].field", "two columns fill reason", id="two columns filling one field",
    ),
    pytest.param(
        POLICE_MOVE_IN, 'header = "准迁证编号"', 'header = " 姓\u3000名*"', 'field = "permit_no"',
        "columns[12].header", "claimed by another column: 姓名", id="a header claimed twice",
    ),
    pytest.param(
        POLICE_MOVE_IN, 'header = "准迁证编号"', 'header = "避孕措施"', 'field = "permit_no"',
        "columns[12].header", "always dropped", id="a header that is never taken",
    ),
    pytest.param(
        POLICE_MOVE_IN, 'ignored = ["序号"', 'ignored = ["姓名"', "ignored =",
        "ignored", "claimed by a column: 姓名", id="an ignored header that a column claims",
    ),
    pytest.param(
        POLICE_MOVE_IN, 'organisation = "public_security"', 'organisation = "police"', "organisation =",
        "organisation", "unknown organisation: police", id="an unknown organisation",
    ),
    pytest.param(
        POLICE_MOVE_IN, 'organisation = "public_security"', 'organisation = "labour"', "organisation =",
        "organisation", "differs from the folder", id="another organisation's folder",
    ),
    pytest.param(
        POLICE_MOVE_IN, 'record_type = "hukou_move_in"', 'record_type = "moved_in"', "record_type =",
        "record_type", "unknown record type: moved_in", id="an unknown record type",
    ),
    pytest.param(
        POLICE_MOVE_IN, '  { field = "move_date"', '  # { field = "move_date"', "columns = [",
        "columns", "no column for required field: move_date", id="a required field without a column",
    ),
    pytest.param(
        POLICE_MOVE_IN, 'encoding = "gb18030"', 'encoding = "gb2312"', "encoding =",
        "encoding", "unknown encoding", id="an encoding that loses the middle dot",
    ),
    pytest.param(
        "row_errors.toml", '[E_REQUIRED]\nlevel = "error"', '[E_REQUIRED]\nlevel = "warning"', 'level = "warning" ',
        "E_REQUIRED.level", "never warning", id="a level that does not fit the code",
    ),
    pytest.param(
        "row_errors.toml", "message_en = '\"{field}\" is empty.'", "message_en = 'It is empty.'", "'It is empty.'",
        "E_REQUIRED.message_en", "different facts", id="a fact in one language only",
    ),
    pytest.param(
        "row_errors.toml", 'release = "never"', 'release = ""', 'release = ""',
        "E_CHANGE_KIND.release", "rows held need it", id="a reason to hold a row that does not say what may be decided",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "marker", "key", "reason"), BREAKS)
def test_a_broken_file_is_named_with_its_line_and_key(
    copy: Path, file: str, old: str, new: str, marker: str, key: str, reason: str
) -> None:
    broken(copy, file, old, new)
    with pytest.raises(CatalogueError) as refusal:
        load(copy)
    error = refusal.value
    expected_line = line_with(copy, file, marker) if marker.strip() == marker else line_of_change(copy, file)
    assert (error.file, error.line, error.key) == (file, expected_line, key)
    assert reason in error.reason


def line_of_change(root: Path, file: str) -> int:
    """The first line that differs from the shipped file, for a text that stands on many lines."""
    shipped, changed = ((base / file).read_text("utf-8").splitlines() for base in (ROOT, root))
    return next(number for number, (old, new) in enumerate(zip(shipped, changed, strict=True), 1) if old != new)


def test_a_file_that_is_not_utf8_is_named_with_its_line(copy: Path) -> None:
    path = copy / "codes/sex.toml"
    path.write_bytes(path.read_text("utf-8").encode("gb18030"))
    with pytest.raises(CatalogueError) as refusal:
        load(copy)
    assert (refusal.value.file, refusal.value.line) == ("codes/sex.toml", 1)


def test_two_files_for_one_type_and_organisation_are_refused(copy: Path) -> None:
    shutil.copy(copy / POLICE_MOVE_IN, copy / "public_security/second.toml")
    (problem,) = check_mappings(copy)
    assert (problem.file, problem.key) == ("public_security/second.toml", "record_type")


def test_checking_names_every_problem_and_not_only_the_first(copy: Path) -> None:
    broken(copy, POLICE_MOVE_IN, 'field = "permit_no"', 'field = "permit"')
    broken(copy, "codes/sex.toml", 'aliases = ["女"', 'aliases = ["男"')
    assert {problem.file for problem in check_mappings(copy)} == {POLICE_MOVE_IN, "codes/sex.toml"}


def test_any_change_of_a_file_changes_the_version(copy: Path) -> None:
    assert load(copy).version == load().version
    broken(copy, "codes/sex.toml", 'title = "性别"', 'title = "性 别"')
    assert load(copy).version != load().version


def test_a_district_may_switch_a_restricted_type_on(copy: Path) -> None:
    broken(copy, "record_types/delivery_outcome.toml", "enabled = false", "enabled = true")
    assert load(copy).record_types["delivery_outcome"].enabled


def test_a_district_adds_a_record_type_without_code(copy: Path) -> None:
    (copy / "record_types/pet_licence.toml").write_text(
        'code = "pet_licence"\ntitle = "犬只登记"\ntitle_en = "Pet licence"\nnatural_key = ["licence_no"]\n'
        'sources = ["vet"]\nfields = [\n'
        '  { name = "licence_no", title = "编号", type = "text", sensitivity = "internal", required = true },\n]\n'
    )
    broken(copy, "organisations.toml", "]\n", '  { code = "vet", title = "农业农村局", kind = "department" },\n]\n')
    (copy / "vet").mkdir()
    (copy / "vet/pet_licence.toml").write_text(
        'organisation = "vet"\nrecord_type = "pet_licence"\ntitle = "{unit}{month}犬只登记"\n'
        'columns = [\n  { field = "licence_no", header = "编号" },\n]\n'
    )
    with (copy / "data_catalogue.toml").open("a") as file:
        file.write(
            '\n[pet_licence]\ncatalogue_no = "QX-NY-0001"\nprovider = "vet"\nformats = ["csv"]\nfrequency = "daily"\n'
            'sharing = "conditional"\nreason = "依申请"\nmodes = ["download"]\nconditions = "犬只管理"\nclassification = 1\n'
        )
    catalogue = load(copy)
    assert catalogue.mappings["vet", "pet_licence"].columns[0].field == "licence_no"
