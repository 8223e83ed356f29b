"""URLs of the pages of accounts."""

from django.urls import path

from accounts import views
from accounts.time_zone_page import ChangeTimeZone

urlpatterns = [
    path("register/", views.Register.as_view(), name="register"),
    path("sign-in/", views.SignIn.as_view(), name="sign_in"),
    path("sign-out/", views.SignOut.as_view(), name="sign_out"),
    path("account/", views.Account.as_view(), name="account"),
    path("account/email/", views.ChangeEmail.as_view(), name="email"),
    path("account/time-zone/", ChangeTimeZone.as_view(), name="time_zone"),
    path("account/sign-out-elsewhere/", views.SignOutElsewhere.as_view(), name="sign_out_elsewhere"),
    path("password/", views.ChangePassword.as_view(), name="password"),
]
