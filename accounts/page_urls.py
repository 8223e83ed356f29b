"""The addresses of the HTML door to accounts."""

from django.urls import path

from accounts import pages

urlpatterns = [
    path("register/", pages.Register.as_view(), name="register"),
    path("sign-in/", pages.SignIn.as_view(), name="sign_in"),
    path("sign-out/", pages.SignOut.as_view(), name="sign_out"),
    path("account/", pages.Account.as_view(), name="account"),
    path("account/email/", pages.ChangeEmail.as_view(), name="email"),
    path("account/sign-out-elsewhere/", pages.SignOutElsewhere.as_view(), name="sign_out_elsewhere"),
    path("password/", pages.ChangePassword.as_view(), name="password"),
]
