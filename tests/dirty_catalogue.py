"""The fifty-two ways in which sent files are dirty; what must come of each row stands beside the file it is in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests import dirty_cells as cells
from tests import dirty_sheets as sheets
from tests.dirty_files import Sent


@dataclass(frozen=True)
class Dirty:
    """``people``: how many more are in the register afterwards; None where the case needs no register."""

    number: int
    name: str
    files: Callable[[], list[Sent]]
    people: int | None = None


CASES = (
    Dirty(1, "a number rounded by a spreadsheet", cells.rounded_by_a_spreadsheet),
    Dirty(2, "a number written as a number by a script", cells.numbers_of_a_script),
    Dirty(3, "scientific notation in a text file", cells.scientific_notation),
    Dirty(4, "stray marks around a number", cells.numbers_with_marks),
    Dirty(5, "full-width digits", cells.full_width_digits),
    Dirty(6, "small, Cyrillic and other letters for X", cells.numbers_with_letters),
    Dirty(7, "a number in groups", cells.numbers_in_groups),
    Dirty(8, "fifteen digits", cells.numbers_of_fifteen_digits),
    Dirty(9, "a business registration as identity number", cells.registration_numbers),
    Dirty(10, "a household's number as identity number", cells.household_numbers),
    Dirty(11, "a wrong check digit", cells.wrong_check_digit),
    Dirty(12, "a division younger than its citizen: no list, no doubt", cells.division_younger_than_its_citizen),
    Dirty(13, "residence permits and foreigners' cards", cells.other_documents),
    Dirty(14, "passports, 无, invented numbers", cells.no_numbers_at_all),
    Dirty(15, "sex and birth against the number", cells.against_the_number),
    Dirty(16, "a name spread out", cells.names_spread_out),
    Dirty(17, "every dot of a name", cells.dots_in_names),
    Dirty(18, "the dot by another codec", cells.middle_dot_by_another_codec),
    Dirty(19, "a character the standard moved", cells.moved_character),
    Dirty(20, "a name that cannot be encoded", cells.names_not_encodable),
    Dirty(21, "characters of four bytes", cells.rare_characters, people=3),
    Dirty(22, "one person, two ways to write the name", cells.names_of_one_person, people=1),
    Dirty(23, "no name yet", cells.nameless_newborns),
    Dirty(24, "one date in five manners", cells.one_date_in_five_manners),
    Dirty(25, "dates as serial numbers", cells.dates_as_numbers),
    Dirty(26, "a month that may have lost its zero", cells.months_without_their_zero),
    Dirty(27, "half a date", cells.half_dates),
    Dirty(28, "a door number turned into a date", cells.door_numbers_turned_into_dates),
    Dirty(29, "dates that cannot be", cells.impossible_dates),
    Dirty(30, "titles, a header of two rows, 1 2 3", sheets.header_of_two_rows),
    Dirty(31, "totals, signatures, pages, headers again", sheets.totals_and_signatures),
    Dirty(32, "villages as headings", sheets.villages_as_sections),
    Dirty(33, "merged cells and ditto", sheets.merged_and_ditto),
    Dirty(34, "hidden rows, columns, sheets", sheets.hidden_parts),
    Dirty(35, "formulas and errors for values", sheets.formulas),
    Dirty(36, "formats under a false name", sheets.other_formats),
    Dirty(37, "passwords and protection", sheets.passwords),
    Dirty(38, "encodings, mixed and cut", sheets.encodings),
    Dirty(39, "garbled before it was sent", sheets.garbled_texts),
    Dirty(40, "a dBASE table", sheets.old_tables),
    Dirty(41, "the same again: bytes, name, saved anew", sheets.sent_again, people=2),
    Dirty(42, "a cumulative file in a month's place", sheets.cumulative, people=4),
    Dirty(43, "another type's template", sheets.wrong_template),
    Dirty(44, "twins, and two births on one certificate", sheets.twins, people=4),
    Dirty(45, "words for codes", sheets.words_for_codes),
    Dirty(46, "villages by name", sheets.villages_by_name),
    Dirty(47, "a place of another district", sheets.another_district, people=1),
    Dirty(48, "two telephones, a line break", sheets.phones_and_addresses),
    Dirty(49, "files made to do harm", sheets.hostile_workbooks),
    Dirty(50, "a number corrected by the police", sheets.a_number_corrected, people=1),
    Dirty(51, "an earlier version again", sheets.older_version, people=1),
    Dirty(52, "old and new number after the correction", sheets.old_number_after_the_correction, people=1),
)
