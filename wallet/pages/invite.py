"""Invite a friend: the person's link and what came of it, and where the link leads."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.invitations import COOKIE, COOKIE_SECONDS
from wallet.actions.referral import ensure_referral_code
from wallet.pages.auth import SignedInRequest, signed_in
from wallet.pages.pagination import paginate
from wallet.programme.referral_codes import CODE
from wallet.queries.referrals import friend_rules, invited_friend, referral_counts, referral_link, referrals_of


@require_safe
@signed_in
def invite(request: SignedInRequest) -> HttpResponse:
    """Show the user's invitation link and what came of each friend, latest first."""
    page = paginate(referrals_of(request.user), request.GET.get("page")).map(invited_friend)
    code = ensure_referral_code(request.user)
    context = {
        "code": code,
        "link": referral_link(code),
        "page": page,
        "counts": referral_counts(request.user),
        "rule": next(iter(friend_rules()), None),
    }
    return render(request, "pages/invite.html", context)


@require_safe
def join(request: HttpRequest, code: str) -> HttpResponse:
    """Lead to the registration with a friend's code. The first link that a browser follows counts."""
    if request.user.is_authenticated:
        messages.info(request, _("You already have an account. The link is for friends who don't."))
        return redirect("invite")
    response = redirect("register")
    if CODE.fullmatch(code.upper()) and COOKIE not in request.COOKIES:
        response.set_cookie(
            COOKIE, code.upper(), COOKIE_SECONDS, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
        )
    return response
