"""URLs of the API of accounts, below /api/v1/auth/."""

from django.urls import path

from accounts import api

urlpatterns = [
    path("register/", api.RegisterView.as_view(), name="api_register"),
    path("token/", api.TokenView.as_view(), name="api_token"),
    path("token/refresh/", api.RefreshView.as_view(), name="api_refresh"),
    path("logout/", api.LogoutView.as_view(), name="api_logout"),
    path("me/", api.MeView.as_view(), name="api_me"),
    path("password/", api.PasswordView.as_view(), name="api_password"),
    path("password/forgotten/", api.ForgottenPasswordView.as_view(), name="api_password_forgotten"),
    path("password/reset/", api.PasswordResetView.as_view(), name="api_password_reset"),
    path("email/verify/", api.EmailVerifyView.as_view(), name="api_email_verify"),
]
