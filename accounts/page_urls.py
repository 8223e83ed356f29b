"""URLs of the pages of accounts."""

from django.urls import path

from accounts import link_views, two_factor_views, views
from accounts.time_zone_page import ChangeTimeZone

urlpatterns = [
    path("register/", views.Register.as_view(), name="register"),
    path("sign-in/", views.SignIn.as_view(), name="sign_in"),
    path("sign-out/", views.SignOut.as_view(), name="sign_out"),
    path("account/", views.Account.as_view(), name="account"),
    path("account/email/", views.ChangeEmail.as_view(), name="email"),
    path("account/time-zone/", ChangeTimeZone.as_view(), name="time_zone"),
    path("account/sign-out-elsewhere/", views.SignOutElsewhere.as_view(), name="sign_out_elsewhere"),
    path("account/sign-ins/", views.SignIns.as_view(), name="sign_ins"),
    path("account/sign-ins/<any_case_uuid:pk>/end/", views.EndSignIn.as_view(), name="end_sign_in"),
    path("account/close/", views.CloseAccount.as_view(), name="close_account"),
    path("account/email/resend/", link_views.ResendEmailLink.as_view(), name="resend_email_link"),
    path("account/two-step/", two_factor_views.TwoFactor.as_view(), name="two_factor"),
    path("account/two-step/start/", two_factor_views.StartTwoFactor.as_view(), name="start_two_factor"),
    path("account/two-step/confirm/", two_factor_views.ConfirmTwoFactor.as_view(), name="confirm_two_factor"),
    path("account/two-step/codes/", two_factor_views.NewRecoveryCodes.as_view(), name="recovery_codes"),
    path("account/two-step/remove/", two_factor_views.RemoveTwoFactor.as_view(), name="remove_two_factor"),
    path("password/", views.ChangePassword.as_view(), name="password"),
    path("password/forgotten/", link_views.ForgottenPassword.as_view(), name="forgotten_password"),
    path("password/reset/<str:token>/", link_views.ResetPassword.as_view(), name="reset_password"),
    path("email/verify/<str:token>/", link_views.VerifyEmail.as_view(), name="verify_email"),
]
