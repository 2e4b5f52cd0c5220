"""Staged rows that name somebody no number finds: linked where that is certain, held where a person must say who it is."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from hub.database import run_sql
from hub.people.candidates import find_candidates
from hub.people.matching import Answer, Match, answer, match_with
from hub.people.mentions import Mention, towns_of, unknown_by_page
from hub.people.newborns import children_of, recognise
from mappings.catalogue import Catalogue, MatchingRules, RecordType

FINDING = "E_PERSON_UNCLEAR"
_SHOWN = 10  # candidates a row; more than a handful is no help to anybody


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    mention: Mention
    answer: Answer
    by_mother: bool = False


def mark_doubtful(
    connection: Connection, submission_id: UUID, source: str, record_type: RecordType, catalogue: Catalogue
) -> int:
    """Before a submission is linked: whom its unknown persons certainly are is written down, doubtful rows are marked.

    How many rows wait. Costs one statement when everybody is known or the register is empty; of a large file only those
    rows are kept in mind that mean somebody, or may.
    """
    judged: list[Judged] = []
    for mentions in unknown_by_page(connection, submission_id, source, record_type):
        if mentions:
            judged += recognise_all(connection, mentions, source, record_type, catalogue)
    judged = settle_twins(judged)
    remember(connection, submission_id, [one for one in judged if one.answer.finding == "same"])
    return hold_back(connection, submission_id, record_type, [one for one in judged if one.answer.finding == "doubt"])


def recognise_all(
    connection: Connection, mentions: list[Mention], source: str, record_type: RecordType, catalogue: Catalogue
) -> list[Judged]:
    """Newborns by their mother first, everybody else and what is left by comparing descriptions."""
    newborns = _recognise_newborns(connection, mentions, source, record_type, catalogue)
    settled = {(one.mention.row_no, one.mention.role) for one in newborns}
    left = [one for one in mentions if (one.row_no, one.role) not in settled and _may_compare(one)]
    return newborns + _compare_with_register(connection, left, catalogue.matching)


def remember(connection: Connection, submission_id: UUID, judged: list[Judged]) -> None:
    """The number that was given, or the row itself, becomes an identifier of the person, so that link finds them."""
    named = [(*_identifier(one.mention), str(one.answer.candidates[0].person_id)) for one in judged]
    if not named:
        return
    kinds, values, persons = zip(*named, strict=True)
    run_sql(
        connection,
        """
        INSERT INTO {d}.person_identifier (kind, value, person_id, submission_id)
        SELECT kind, value, person_id, :submission
        FROM unnest(CAST(:kinds AS text[]), CAST(:values AS text[]), CAST(:persons AS uuid[])) n(kind, value, person_id)
        ON CONFLICT (kind, value) DO NOTHING
        """,
        submission=submission_id,
        kinds=list(kinds),
        values=list(values),
        persons=list(persons),
    )


def hold_back(connection: Connection, submission_id: UUID, record_type: RecordType, judged: list[Judged]) -> int:
    """Doubtful rows wait, each with whom it may mean."""
    if not judged:
        return 0
    _note_candidates(connection, submission_id, judged)
    marked = run_sql(
        connection,
        f"UPDATE {{d}}.stg_{record_type.code} SET doubt = '{FINDING}'"
        " WHERE submission_id = :submission AND row_no = ANY(CAST(:rows AS integer[])) RETURNING row_no",
        submission=submission_id,
        rows=sorted({one.mention.row_no for one in judged}),
    )
    return len(marked)


def _note_candidates(connection: Connection, submission_id: UUID, judged: list[Judged]) -> None:
    shown = [(one.mention, each) for one in judged for each in one.answer.candidates[:_SHOWN]]
    run_sql(
        connection,
        """
        INSERT INTO {d}.held_candidate (submission_id, row_no, role, person_id, score, features)
        SELECT :submission, row_no, role, person_id, score, features
        FROM unnest(CAST(:rows AS integer[]), CAST(:roles AS text[]), CAST(:persons AS uuid[]), CAST(:scores AS float8[]),
                    CAST(:features AS jsonb[])) n(row_no, role, person_id, score, features)
        ON CONFLICT DO NOTHING
        """,
        submission=submission_id,
        rows=[mention.row_no for mention, _ in shown],
        roles=[mention.role for mention, _ in shown],
        persons=[each.person_id for _, each in shown],
        scores=[each.score for _, each in shown],
        features=[json.dumps(each.features) for _, each in shown],
    )


def _recognise_newborns(
    connection: Connection, mentions: list[Mention], source: str, record_type: RecordType, catalogue: Catalogue
) -> list[Judged]:
    mothers = {one.side.mother for one in mentions if one.side.mother and one.born}
    if not mothers:
        return []
    families = children_of(connection, mothers, catalogue)
    found = [
        Judged(
            mention=one,
            answer=recognise(one, families[one.side.mother], record_type, source, catalogue.matching),
            by_mother=True,
        )
        for one in mentions
        if one.side.mother in families and one.born
    ]
    return [one for one in found if one.answer.finding != "new"]


def settle_twins(judged: list[Judged]) -> list[Judged]:
    """Two newborns of one file who are both the same child may be twins."""
    newborns = (one.answer for one in judged if one.by_mother and one.answer.finding == "same")
    taken = Counter(answer.candidates[0].person_id for answer in newborns)
    return [_unless_taken_twice(one, taken) if one.by_mother else one for one in judged]


def _unless_taken_twice(judged: Judged, taken: Counter[UUID]) -> Judged:
    if judged.answer.finding == "same" and taken[judged.answer.candidates[0].person_id] > 1:
        return Judged(mention=judged.mention, answer=msgspec.structs.replace(judged.answer, finding="doubt"))
    return judged


def _compare_with_register(connection: Connection, mentions: list[Mention], rules: MatchingRules) -> list[Judged]:
    if not mentions:
        return []
    matches: defaultdict[int, dict[UUID, Match]] = defaultdict(dict)
    towns = towns_of(connection)
    for near in find_candidates(connection, [one.side for one in mentions], rules, towns):
        match = match_with(mentions[near.of].side, near.person_id, near.side, rules)
        matches[near.of][near.person_id] = match
    judged = [
        Judged(mention=mentions[of], answer=answer(found.values(), rules, number_given=bool(mentions[of].given)))
        for of, found in matches.items()
    ]
    return [one for one in judged if one.answer.finding != "new" and _is_settled(one)]


def _is_settled(judged: Judged) -> bool:
    """A row whose own key is the number it lacks cannot remember whom it means."""
    return judged.answer.finding == "doubt" or bool(judged.mention.remembered_as)


def _may_compare(mention: Mention) -> bool:
    """A name alone means nobody: without a number there must be a day of birth or a mother."""
    described = mention.side.born is not None or mention.side.mother is not None
    return bool(mention.side.name) and (described or bool(mention.given))


def _identifier(mention: Mention) -> tuple[str, str]:
    """The certificate before the number: what a certificate finds gets its number when it is linked."""
    for kind in ("birth_cert", "id_no"):
        if kind in mention.given:
            return kind, mention.given[kind]
    return "row", mention.remembered_as
