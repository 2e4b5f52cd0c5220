"""The routes of the API, put together."""

from __future__ import annotations

from litestar import Controller, Router
from litestar.middleware import DefineMiddleware

from hub.api.authentication import ApiKeyMiddleware
from hub.api.balance import BalanceController
from hub.api.certificates import CertificateController
from hub.api.challenges import ChallengeController
from hub.api.comparisons import ComparisonController
from hub.api.copy_checks import CopyCheckController
from hub.api.corrections import CorrectionController
from hub.api.data_catalogue import DataCatalogueController
from hub.api.decisions import DecisionController
from hub.api.deliveries import DeliveryController
from hub.api.files import FileController
from hub.api.freshness import FreshnessController
from hub.api.health import HealthController
from hub.api.held import HeldController
from hub.api.licence_requests import LicenceRequestController
from hub.api.notices import NoticeController
from hub.api.people import PeopleApiController
from hub.api.quality import QualityController
from hub.api.registry import RegistryController
from hub.api.rolls import RollController
from hub.api.round_files import RoundFileController
from hub.api.rounds import RoundController
from hub.api.signing_keys import SigningKeyController
from hub.api.submissions import SubmissionController
from hub.api.subscriptions import SubscriptionController
from hub.api.tokens import TokenController
from hub.api.verdicts import VerdictController
from hub.api.verifications import LARGEST_BODY, VerificationController

SMALL_BODY = 64 * 1024
MANY_ANSWERS = 1024 * 1024


def api_routers(max_file_bytes: int) -> list[Router]:
    """/v1 behind keys, certificates and tokens; only sending may have a large body. Health beside it, open."""
    rooms = [
        _room(SubmissionController, "submissions", max_file_bytes),
        _room(DecisionController, "submissions"),
        _room(HeldController, "held"),
        _room(FileController, "submissions"),
        _room(SubscriptionController, "subscriptions"),
        _room(CertificateController, "subscriptions"),
        _room(CopyCheckController, "subscriptions", MANY_ANSWERS),
        _room(DeliveryController, "subscriptions"),
        _room(QualityController, "quality"),
        _room(PeopleApiController, "people"),
        _room(VerificationController, "people", LARGEST_BODY),
        _room(RegistryController, "registry"),
        _room(DataCatalogueController, "catalogue"),
        _room(ComparisonController, "comparisons"),
        _room(ChallengeController, "challenges"),
        _room(FreshnessController, "freshness"),
        _room(CorrectionController, "corrections"),
        _room(LicenceRequestController, "licence-requests"),
        _room(RoundController, "rounds"),
        _room(RollController, "rolls", max_file_bytes),
        _room(RoundFileController, "rounds"),
        _room(BalanceController, "balance"),
        _room(VerdictController, "rounds", MANY_ANSWERS),
        _room(NoticeController, "notices"),
        _room(TokenController, "tokens"),
        _room(SigningKeyController, "keys"),
    ]
    behind_keys = Router("/v1", route_handlers=rooms, middleware=[DefineMiddleware(ApiKeyMiddleware)])
    return [behind_keys, _room(HealthController, "health")]


def _room(controller: type[Controller], tag: str, largest_body: int = SMALL_BODY) -> Router:
    return Router("/", route_handlers=[controller], tags=[tag], request_max_body_size=largest_body)
