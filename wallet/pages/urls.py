"""URLs of the pages."""

from django.urls import path

from wallet.pages import site_views, views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("offers/", views.offers, name="offers"),
    path("dashboard/", views.dashboard, name="dashboard"),
    path("credits/<uuid:asset_id>/claim/", views.claim_asset_view, name="claim_asset"),
    path("pools/<uuid:pool_id>/", views.pool_page, name="pool"),
    path("pools/<uuid:pool_id>/claim/", views.claim_pool_view, name="claim_pool"),
    path("claims/", views.my_claims, name="my_claims"),
    path("claims/<uuid:entry_id>/", views.receipt, name="receipt"),
    path("claims/<uuid:entry_id>/proof/", views.download_proof, name="proof"),
    path("verify/", site_views.verify, name="verify"),
    path("verify/keys/", site_views.keys, name="public_keys"),
    path("verify/verify_proof.py", site_views.verifier, name="verifier"),
    path("help/", site_views.text_page("help"), name="help"),
    path("terms/", site_views.text_page("terms"), name="terms"),
    path("privacy/", site_views.text_page("privacy"), name="privacy"),
]
