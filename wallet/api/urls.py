"""URLs of pools, assets, claims, payments, the wallet and the reports."""

from django.urls import path
from rest_framework.routers import SimpleRouter

import kernel.url_converters  # noqa: F401  (registers any_case_uuid)
from wallet.api.assets import AssetViewSet
from wallet.api.batches import BatchViewSet
from wallet.api.claims import ClaimViewSet
from wallet.api.credit_changes import CreditChangeViewSet, GrantViewSet
from wallet.api.events import EventViewSet
from wallet.api.feed import FeedViewSet
from wallet.api.money_reports import (
    BreakageViewSet,
    JournalViewSet,
    LiabilityViewSet,
    SettlementViewSet,
    TrialBalanceViewSet,
)
from wallet.api.notices import NoticePreferencesView
from wallet.api.payments import PaymentViewSet
from wallet.api.personal_data import PersonalDataViewSet
from wallet.api.pools import PoolViewSet
from wallet.api.proposals import ProposalViewSet
from wallet.api.referral import FriendViewSet, ReferralViewSet
from wallet.api.reports import OwnershipViewSet, SummaryViewSet
from wallet.api.root import RootView
from wallet.api.wallet import HistoryViewSet, LotViewSet, WalletViewSet
from wallet.api.webhooks import WebhookViewSet

router = SimpleRouter(use_regex_path=False)
router.register("pools", PoolViewSet, "pool")
router.register("assets", AssetViewSet, "asset")
router.register("batches", BatchViewSet, "batch")
router.register("claims", ClaimViewSet, "claim")
router.register("claims", CreditChangeViewSet, "credit_change")
router.register("grants", GrantViewSet, "grant")
router.register("events", EventViewSet, "event")
router.register("proposals", ProposalViewSet, "proposal")
router.register("payments", PaymentViewSet, "payment")
router.register("wallet", WalletViewSet, "wallet")
router.register("wallet/lots", LotViewSet, "lot")
router.register("wallet/history", HistoryViewSet, "history")
router.register("referral", ReferralViewSet, "referral")
router.register("referral/friends", FriendViewSet, "friend")
router.register("feed", FeedViewSet, "feed")
router.register("webhooks", WebhookViewSet, "webhook")
router.register("me/data", PersonalDataViewSet, "personal_data")
router.register("reports/ownership", OwnershipViewSet, "ownership")
router.register("reports/summary", SummaryViewSet, "summary")
router.register("reports/trial-balance", TrialBalanceViewSet, "trial_balance")
router.register("reports/liability", LiabilityViewSet, "liability")
router.register("reports/breakage", BreakageViewSet, "breakage")
router.register("reports/settlement", SettlementViewSet, "settlement")
router.register("reports/journal", JournalViewSet, "journal")

urlpatterns = [
    path("", RootView.as_view(), name="api_root"),
    *router.urls,
    path("me/notices/", NoticePreferencesView.as_view(), name="api_notices"),
]
