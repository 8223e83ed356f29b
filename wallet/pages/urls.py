"""URLs of the pages."""

from django.urls import path

from wallet.pages import views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("offers/", views.offers, name="offers"),
    path("dashboard/", views.dashboard, name="dashboard"),
    path("credits/<uuid:asset_id>/claim/", views.claim_asset_view, name="claim_asset"),
    path("pools/<uuid:pool_id>/claim/", views.claim_pool_view, name="claim_pool"),
    path("claims/", views.my_claims, name="my_claims"),
    path("claims/<uuid:entry_id>/", views.receipt, name="receipt"),
    path("account/data/", views.download_data, name="download_data"),
    path("claims/<uuid:entry_id>/proof/", views.download_proof, name="proof"),
]
