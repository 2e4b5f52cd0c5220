"""The routes of the panel, put together: every page is behind the session."""

from __future__ import annotations

from litestar import Controller, Router
from litestar.di import Provide
from litestar.middleware import DefineMiddleware

from admin.access_requests import AccessRequestController
from admin.accounts_desk import AccountsController
from admin.areas_page import AreaController
from admin.asking import asking_router
from admin.audit_search import AuditController
from admin.audit_verification import AuditVerificationController
from admin.balance_orders_page import BalanceOrderController
from admin.balance_page import BalanceController
from admin.board import BoardController
from admin.catalogue_page import DataCatalogueController
from admin.certificates_page import CertificateController
from admin.challenges_page import ChallengeController
from admin.change_lists import ChangeListController
from admin.columns_page import ColumnsController
from admin.comparisons import ComparisonController
from admin.copy_checks_page import CopyCheckController
from admin.correct_page import CorrectController
from admin.corrections_page import CorrectionController
from admin.disclosures_page import DisclosureController
from admin.doors_page import DoorsController
from admin.downloads import DownloadController
from admin.effect_page import EffectController
from admin.found_desk import FoundController
from admin.freshness_page import FreshnessController
from admin.held_page import HeldPageController
from admin.help_page import HelpController
from admin.identity_page import IdentityController
from admin.inbox_page import InboxController
from admin.keys_desk import KeysController, new_keys_router
from admin.licence_form import LicenceFormController
from admin.licences_page import LicenceController
from admin.lists.answering import open_door
from admin.lists.views_desk import ViewsController
from admin.mappings_page import MappingController
from admin.matrix_page import MatrixController
from admin.month_page import MonthController
from admin.notices_page import ContactController, NoticeController
from admin.organisations_page import OrganisationController
from admin.own_account import OwnAccountController
from admin.packing import pack_pages
from admin.pairs_page import PairController
from admin.people_pages import PeopleController
from admin.quality_page import QualityController
from admin.roles_page import RolesController
from admin.rolls_page import RollsController
from admin.round_files import RoundFileController
from admin.round_orders_page import RoundOrderController
from admin.rounds_page import RoundsController
from admin.running_page import RunningController
from admin.screen_page import ScreenController
from admin.search_page import SearchController
from admin.sign_in import SignInController
from admin.submissions import SubmissionController
from admin.subscriptions_page import SubscriptionsController
from admin.undo_page import UndoController
from admin.unlock_page import UnlockController
from admin.unmasking import UnmaskingController
from admin.uploads import UploadController
from admin.verdict_desk import VerdictController
from admin.verification import VerificationController
from admin.visits import VisitMiddleware

_SMALL_BODY = 64 * 1024
_FORM_AROUND_FILE = 64 * 1024
_LONG_FORM = 512 * 1024  # fifty lines with what was found of each


def panel_router(max_file_bytes: int) -> Router:
    """Every page; only where a file comes in may the body be large. None of them is part of the API's description."""
    with_files: list[type[Controller]] = [UploadController, VerificationController, RollsController]
    uploads = Router("/", route_handlers=with_files, request_max_body_size=max_file_bytes + _FORM_AROUND_FILE)
    with_lines: list[type[Controller]] = [VerdictController, FoundController, CorrectController]
    lines = Router("/", route_handlers=with_lines, request_max_body_size=_LONG_FORM)
    pages: list[type[Controller] | Router] = [
        SignInController,
        InboxController,
        MonthController,
        SearchController,
        HelpController,
        OwnAccountController,
        ViewsController,
        NoticeController,
        ContactController,
        SubmissionController,
        ColumnsController,
        EffectController,
        UndoController,
        HeldPageController,
        UnlockController,
        DownloadController,
        DoorsController,
        ChangeListController,
        RoundFileController,
        BoardController,
        MatrixController,
        ScreenController,
        RoundsController,
        RoundOrderController,
        BalanceController,
        BalanceOrderController,
        QualityController,
        UnmaskingController,
        PeopleController,
        DisclosureController,
        IdentityController,
        PairController,
        ComparisonController,
        ChallengeController,
        LicenceFormController,
        LicenceController,
        FreshnessController,
        CorrectionController,
        DataCatalogueController,
        SubscriptionsController,
        CopyCheckController,
        CertificateController,
        asking_router(),
        AccessRequestController,
        AccountsController,
        new_keys_router(),
        KeysController,
        RolesController,
        AuditController,
        AuditVerificationController,
        OrganisationController,
        AreaController,
        MappingController,
        RunningController,
    ]
    return Router(
        "/",
        route_handlers=[uploads, lines, *pages],
        dependencies={"door": Provide(open_door, sync_to_thread=False)},
        middleware=[pack_pages, DefineMiddleware(VisitMiddleware)],
        request_max_body_size=_SMALL_BODY,
        include_in_schema=False,
    )
