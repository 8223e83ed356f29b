"""URLs of the pages."""

from django.urls import path

import kernel.url_converters  # noqa: F401  (registers any_case_uuid)
from wallet.pages import site_views, views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("offers/", views.offers, name="offers"),
    path("dashboard/", views.dashboard, name="dashboard"),
    path("credits/<any_case_uuid:asset_id>/claim/", views.claim_asset_view, name="claim_asset"),
    path("pools/<any_case_uuid:pool_id>/claim/", views.claim_pool_view, name="claim_pool"),
    path("pools/<any_case_uuid:pool_id>/", views.pool_page, name="pool"),
    path("claims/", views.my_claims, name="my_claims"),
    path("claims/<any_case_uuid:entry_id>/", views.receipt, name="receipt"),
    path("claims/<any_case_uuid:entry_id>/proof/", views.download_proof, name="proof"),
    path("account/data/", views.download_data, name="download_data"),
    path("verify/", site_views.verify, name="verify"),
    path("verify/keys/", site_views.keys, name="public_keys"),
    path("verify/verify_proof.py", site_views.verifier, name="verifier"),
    path("help/", site_views.text_page("help"), name="help"),
    path("terms/", site_views.text_page("terms"), name="terms"),
    path("privacy/", site_views.text_page("privacy"), name="privacy"),
]
