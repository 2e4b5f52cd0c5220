"""A certificate proves itself: signature, sums and digests, and the receiver's own copy beside it. Needs no hub."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from hub.exchange.receipts import canonical, verify
from hub.keyring import Keyring
from hub.sharing.certificate_segments import Piece, Segment, chain_of

_ALGORITHM = "ed25519"
_FIGURES = ("expected", "sent", "fetched", "acknowledged")


class CopyVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver's stored changes say: deliveries found whole, and those that are not, by their numbers."""

    changes: int
    same: int  # deliveries whose digest comes out of the copy
    counted: int  # deliveries that can only be counted: clinical fields travel opened
    missing: tuple[str, ...]  # first..last
    different: tuple[str, ...]

    @property
    def whole(self) -> bool:
        return not self.missing and not self.different


def sign_certificate(keyring: Keyring, statement: Mapping[str, Any]) -> dict[str, Any]:
    """The statement with its signature, spelled and signed as receipts are."""
    value = base64.b64encode(keyring.sign(canonical(statement))).decode()
    return {**statement, "signature": {"algorithm": _ALGORITHM, "key": keyring.signing_key_id, "value": value}}


def wrong_in_certificate(content: Mapping[str, Any], public_keys: Mapping[str, bytes]) -> list[str]:
    """What does not hold, in sentences; empty: the hub issued it word for word, and its figures add up."""
    if not verify(content, public_keys):
        return ["签名无效：内容被改动，或不是用这些公钥签发的。 The signature does not hold."]
    try:
        segments = msgspec.convert(content["segments"], list[Segment])
        return [*_wrong_sums(content, segments), *(wrong for one in segments for wrong in _wrong_segment(one))]
    except (KeyError, TypeError, msgspec.ValidationError):
        return ["内容不是完整性证明。 This is no completeness certificate."]


def _wrong_sums(content: Mapping[str, Any], segments: list[Segment]) -> list[str]:
    totals = content["totals"]
    wrong = [
        f"{name}: {totals[name]} ≠ 各段之和 the segments' sum"
        for name in _FIGURES
        if totals[name] != sum(getattr(one, name) for one in segments)
    ]
    if totals["gap"] != totals["expected"] - totals["acknowledged"]:
        wrong.append("gap ≠ expected - acknowledged")
    equal = len({totals[name] for name in _FIGURES}) == 1
    if content["closed"] != (equal and not content["open"]):
        wrong.append("是否闭合与数字不符。 Closed or not: the figures say otherwise.")
    return wrong


def _wrong_segment(one: Segment) -> list[str]:
    place = f"{one.epoch} ({one.from_seq}, {one.to_seq}]"
    parts = {
        "sent": sum(each.part for each in one.deliveries),
        "fetched": sum(each.part for each in one.deliveries if each.fetched),
        "acknowledged": sum(each.part for each in one.deliveries if each.acknowledged),
    }
    wrong = [
        f"{place} {name} ≠ 各次下发之和 the deliveries' sum" for name in parts if parts[name] != getattr(one, name)
    ]
    if one.by_type and sum(one.by_type.values()) != one.expected:
        wrong.append(f"{place} expected ≠ 各类别之和 the record types' sum")
    if chain_of(one.epoch, one.deliveries) != one.digest:
        wrong.append(f"{place} 摘要链不符 the chain of digests does not hold")
    return wrong


# ---- the receiver's own copy ----


def compare_copy(content: Mapping[str, Any], lines: Iterable[str]) -> CopyVerdict:
    """The receiver's stored changes, one JSON object a line in the order received, beside the certificate."""
    stored = [line.strip() for line in lines if line.strip()]
    numbers = [_number_of(line) for line in stored]
    places: dict[int, list[int]] = {}
    for place, number in enumerate(numbers):
        places.setdefault(number, []).append(place)
    verdicts: dict[str, list[str]] = {"same": [], "counted": [], "missing": [], "different": []}
    for one in msgspec.convert(content["segments"], list[Segment]):
        for piece in one.deliveries:
            runs = _runs(piece, numbers, places)
            verdicts[_judge(one, piece, [stored[at : at + piece.count] for at in runs])].append(_named(piece))
    return CopyVerdict(
        changes=len(stored), same=len(verdicts["same"]), counted=len(verdicts["counted"]),
        missing=tuple(verdicts["missing"]), different=tuple(verdicts["different"]),
    )  # fmt: skip


def _number_of(line: str) -> int:
    """-1 for a line that is no change, such as the last one of a snapshot."""
    try:
        return int(json.loads(line)["delivery_no"])
    except (ValueError, KeyError, TypeError):
        return -1


def _runs(piece: Piece, numbers: list[int], places: Mapping[int, list[int]]) -> list[int]:
    """Where the delivery's numbers lie one after the other; each epoch counts from 1, so there may be several."""
    wanted = list(range(piece.first, piece.first + piece.count))
    return [at for at in places.get(piece.first, []) if numbers[at : at + piece.count] == wanted]


def _judge(segment: Segment, piece: Piece, runs: list[list[str]]) -> str:
    if not runs:
        return "missing"
    if not segment.comparable:
        return "counted"
    digests = {digest for run in runs for digest in _digests(segment, run)}
    return "same" if piece.digest in digests else "different"


def _digests(segment: Segment, run: list[str]) -> list[str]:
    """As stored; and spelled again as the hub spells it, should the receiver have stored it parsed."""
    between, spelled = ("", _as_snapshot) if segment.kind == "snapshot" else (",\n", _as_page)
    return [_sha256(between.join(run)), _sha256(between.join(spelled(json.loads(line)) for line in run))]


def _as_page(change: object) -> str:
    return json.dumps(change, ensure_ascii=False, separators=(", ", " : "))


def _as_snapshot(change: object) -> str:
    return json.dumps(change, ensure_ascii=False)


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _named(piece: Piece) -> str:
    return f"{piece.first}..{piece.first + piece.count - 1}"
