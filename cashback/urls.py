"""The URLs of all interfaces."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path, re_path
from django.utils.functional import lazy
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerSplitView

from accounts import views
from cashback.http import health, metrics, problem_pages, system_page
from wallet.admin import money_reports, payment_steps, person_page, services_page, wallet_page, webhooks_page
from wallet.api.openapi import SchemaView

CUSTOMER = "admin/customers/<any_case_uuid:user_id>"

urlpatterns = [
    # The busiest paths come first, because patterns are tried in this order.
    path("api/v1/", include("wallet.api.urls")),
    path("", include("wallet.pages.urls")),
    path("", include("accounts.page_urls")),
    path("language/", views.choose_language, name="set_language"),
    path("api/v1/auth/", include("accounts.api_urls")),
    path("api/v1/me/", include("accounts.api_me_urls")),
    path("api/v1/schema/", SchemaView.as_view(), name="schema"),
    path("api/v1/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("problems/", problem_pages.problem_index, name="problems"),
    path("problems/<slug:code>/", problem_pages.problem_page, name="problem"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    # Browsers request this path for responses that name no icon, such as JSON.
    path("favicon.ico", RedirectView.as_view(url=lazy(static, str)("cashback/mark.svg"))),
    # unfold's search caches Python objects, which our JSON caches refuse; each list of the console has its own search.
    path("admin/search/", RedirectView.as_view(pattern_name="admin:index")),
    # The console uses the site's own views, which are rate-limited, logged, and sign out all other sessions.
    path("admin/password_change/", RedirectView.as_view(pattern_name="password")),
    path("admin/logout/", views.SignOut.as_view()),
    # No object has a page "on the site"; Django's redirect to it fails on models that are database views.
    re_path("^admin/r/", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/system/", admin.site.admin_view(system_page.system_page), name="system"),
    path("admin/services/webhooks/", admin.site.admin_view(webhooks_page.webhooks_page), name="webhooks"),
    path("admin/services/", admin.site.admin_view(services_page.services_page), name="services"),
    path("admin/customers/", admin.site.admin_view(person_page.search_page), name="customer_search"),
    path(f"{CUSTOMER}/", admin.site.admin_view(person_page.person_page), name="customer"),
    path(f"{CUSTOMER}/wallet/", admin.site.admin_view(wallet_page.wallet_page), name="customer_wallet"),
    path(f"{CUSTOMER}/grant/", admin.site.admin_view(payment_steps.grant_page), name="customer_grant"),
    *money_reports.report_urls(),
    path("admin/", admin.site.urls),
]

handler400 = "cashback.http.error_pages.bad_request"
handler403 = "cashback.http.error_pages.permission_denied"
handler404 = "cashback.http.error_pages.not_found"
handler500 = "cashback.http.error_pages.server_error"
