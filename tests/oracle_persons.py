"""The model's persons: who is found by which identifier, which number is right, what people decided about who is who."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mappings.catalogue import Role

Identifier = tuple[str, str]


@dataclass(frozen=True)
class Judgement:
    """``kept`` and ``other`` are named by any of their numbers; ``undoes`` is the place of an earlier decision."""

    kind: Literal["merge", "split", "apart", "undo"]
    kept: str = ""
    other: str = ""
    right: str = ""  # merge: the number that is right; split: the number that goes
    undoes: int = 0


@dataclass
class Decided:
    """A decision as it was carried out."""

    kind: str
    kept: int
    other: int | None
    right: str
    moved: list[Identifier]
    state: str = "done"


@dataclass
class Persons:
    identifiers: dict[Identifier, int] = field(default_factory=dict)
    began: dict[Identifier, tuple[int, str]] = field(default_factory=dict)  # in which step
    replaced: dict[str, str] = field(default_factory=dict)
    merged_into: dict[int, int] = field(default_factory=dict)
    decisions: list[Decided] = field(default_factory=list)
    count: int = 0
    steps: int = 0

    # ---- link ----

    def link(self, role: Role, rows: list[dict[str, Any]]) -> None:
        """All rows at once: whoever nobody knows begins to exist by the first identifier, then takes the others."""
        for row in [row for row in rows if self.find(role, row) is None]:
            first = next(((one.kind, row[one.field]) for one in role.identifiers if row.get(one.field)), None)
            if first is not None and first not in self.identifiers:
                self.name(*first, self.begin())
        if len(role.identifiers) == 1:
            return
        for one in role.identifiers:
            given: dict[str, int | None] = {}
            for row in rows:
                if row.get(one.field) and (one.kind, row[one.field]) not in self.identifiers:
                    given.setdefault(row[one.field], self.find(role, row))
            for value, person in given.items():
                if person is not None and not (one.kind == "id_no" and self._numbered(person)):
                    self.name(one.kind, value, person)

    def _numbered(self, person: int) -> bool:
        return any(kind == "id_no" and who == person for (kind, _), who in self.identifiers.items())

    def begin(self) -> int:
        self.count += 1
        return self.count

    def name(self, kind: str, value: str, person: int) -> None:
        if (kind, value) not in self.identifiers:
            self.identifiers[(kind, value)] = person
            self.began[(kind, value)] = (self.steps, value)

    def forget_number(self, number: str) -> None:
        """Only if it was given in this step."""
        if self.began.get(("id_no", number), (0, ""))[0] == self.steps:
            del self.identifiers[("id_no", number)], self.began[("id_no", number)]

    def find(self, role: Role, row: dict[str, Any]) -> int | None:
        found = [self.identifiers.get((one.kind, row.get(one.field) or "")) for one in role.identifiers]
        return next((person for person in found if person is not None), None)

    def named_by(self, role: Role, row: dict[str, Any]) -> set[int]:
        found = {self.identifiers.get((one.kind, row.get(one.field) or "")) for one in role.identifiers}
        return {person for person in found if person is not None}

    def right(self, number: Any) -> Any:
        return self.replaced.get(number, number)

    # ---- numbers ----

    def choose_numbers(self, corrections: list[tuple[str, int, int, str]]) -> None:
        """The latest correction or judgement that stands; else the number that named the person first."""
        self.replaced = {}
        for person in {*self.identifiers.values()}:
            numbers = [value for (kind, value), who in self.identifiers.items() if kind == "id_no" and who == person]
            said = [
                (day, place, number) for day, place, who, number in corrections if who == person and number in numbers
            ]
            said += [
                ("9999", place, one.right)
                for place, one in enumerate(self.decisions)
                if one.kind == "merge" and one.state == "done" and one.kept == person and one.right in numbers
            ]
            if len(numbers) > 1:
                chosen = max(said)[2] if said else min(numbers, key=lambda value: self.began[("id_no", value)])
                self.replaced |= {number: chosen for number in numbers if number != chosen}

    # ---- decisions ----

    def judge(self, judgement: Judgement) -> bool:
        decided = self._carry_out(judgement)
        if decided is None:
            return False
        self.decisions.append(decided)
        return True

    def _carry_out(self, judgement: Judgement) -> Decided | None:
        kept, other = (self.identifiers.get(("id_no", number)) for number in (judgement.kept, judgement.other))
        if judgement.kind == "undo":
            return self._take_back(judgement.undoes)
        if kept is None:
            return None
        if judgement.kind == "split":
            return self._split(kept, ("id_no", judgement.right))
        if other is None or other == kept:
            return None
        return (
            self._merge(kept, other, judgement.right)
            if judgement.kind == "merge"
            else Decided("apart", kept, other, "", [])
        )

    def _merge(self, kept: int, other: int, right: str) -> Decided:
        self.merged_into[other] = kept
        return Decided("merge", kept, other, right, self._move(other, kept))

    def _split(self, kept: int, going: Identifier) -> Decided | None:
        own = [one for one, who in self.identifiers.items() if who == kept]
        if going not in own or len(own) < 2:
            return None
        other = self.begin()
        return Decided("split", kept, other, "", self._move(kept, other, [going]))

    def _take_back(self, place: int) -> Decided | None:
        if place >= len(self.decisions) or self.decisions[place].state != "done":
            return None
        earlier = self.decisions[place]
        if earlier.kind == "undo" or earlier.kept in self.merged_into:
            return None
        assert earlier.other is not None
        if earlier.kind == "merge":
            if self.merged_into.get(earlier.other) != earlier.kept:
                return None
            del self.merged_into[earlier.other]
            self._move(earlier.kept, earlier.other, earlier.moved)
        elif earlier.kind == "split":
            if earlier.other in self.merged_into:
                return None
            self._move(earlier.other, earlier.kept)
            self.merged_into[earlier.other] = earlier.kept
        earlier.state = "undone"
        return Decided("undo", earlier.kept, earlier.other, "", [])

    def _move(self, giver: int, taker: int, only: list[Identifier] | None = None) -> list[Identifier]:
        moving = [one for one, who in self.identifiers.items() if who == giver and (only is None or one in only)]
        self.identifiers |= dict.fromkeys(moving, taker)
        return moving
