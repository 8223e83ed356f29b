"""URLs of the pages."""

from django.urls import path

import kernel.url_converters  # noqa: F401  (registers any_case_uuid)
from wallet.pages import invite, notice_views, payment_views, shop, site_views, views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("offers/", views.offers, name="offers"),
    path("dashboard/", views.dashboard, name="dashboard"),
    path("credits/", views.credits, name="credits"),
    path("credits/<any_case_uuid:asset_id>/claim/", views.claim_asset_view, name="claim_asset"),
    path("pools/<any_case_uuid:pool_id>/claim/", views.claim_pool_view, name="claim_pool"),
    path("pools/<any_case_uuid:pool_id>/", views.pool_page, name="pool"),
    path("claims/", views.my_claims, name="my_claims"),
    path("claims/<any_case_uuid:entry_id>/", views.receipt, name="receipt"),
    path("claims/<any_case_uuid:entry_id>/proof/", views.download_proof, name="proof"),
    path("payments/<any_case_uuid:payment_id>/", payment_views.payment, name="payment"),
    path("movements/<any_case_uuid:movement_id>/proof/", payment_views.download_movement_proof, name="movement_proof"),
    path("shop/", shop.shop, name="shop"),
    path("shop/orders/", shop.place_order, name="place_order"),
    path("shop/orders/<any_case_uuid:payment_id>/", shop.order, name="shop_order"),
    path("shop/orders/<any_case_uuid:payment_id>/ship/", shop.ship_order, name="ship_order"),
    path("shop/orders/<any_case_uuid:payment_id>/cancel/", shop.cancel_order, name="cancel_order"),
    path("shop/orders/<any_case_uuid:payment_id>/return/", shop.return_order, name="return_order"),
    path("account/notices/", notice_views.notices, name="notices"),
    path("unsubscribe/<str:token>/", notice_views.unsubscribe, name="unsubscribe"),
    path("invite/", invite.invite, name="invite"),
    path("join/<str:code>/", invite.join, name="join"),
    path("account/data/", views.download_data, name="download_data"),
    path("verify/", site_views.verify, name="verify"),
    path("verify/keys/", site_views.keys, name="public_keys"),
    path("verify/verify_proof.py", site_views.verifier, name="verifier"),
    path("help/", site_views.text_page("help"), name="help"),
    path("terms/", site_views.text_page("terms"), name="terms"),
    path("privacy/", site_views.text_page("privacy"), name="privacy"),
]
