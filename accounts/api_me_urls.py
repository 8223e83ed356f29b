"""URLs of the API of the signed-in user, below /api/v1/me/."""

from django.urls import path

from accounts import api_me

urlpatterns = [
    path("sessions/", api_me.SignInsView.as_view(), name="api_sign_ins"),
    path("sessions/end-others/", api_me.EndOtherSignInsView.as_view(), name="api_end_others"),
    path("sessions/<any_case_uuid:pk>/", api_me.SignInView.as_view(), name="api_sign_in"),
    path("email/", api_me.EmailView.as_view(), name="api_email"),
    path("email/resend/", api_me.ResendEmailLinkView.as_view(), name="api_email_resend"),
    path("close/", api_me.CloseView.as_view(), name="api_close"),
]
