"""/referral/: the caller's invitation code and link, and what came of them."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.openapi import operation
from kernel.timestamps import format_timestamp
from wallet.actions.referral import ensure_referral_code
from wallet.api.payment_serializers import response_example
from wallet.api.response_serializers import Shape
from wallet.api.viewsets import BaseViewSet
from wallet.money import format_amount
from wallet.queries.referrals import FriendState, invited_friend, referral_counts, referral_link, referrals_of

REFERRAL_EXAMPLE = {
    "code": "K7M2XQ9A",
    "link": "https://wallet.example/join/K7M2XQ9A/",
    "friends": 3,
    "rewarded": 1,
    "earned": [{"currency": "INR", "amount": "250.00"}],
}


class EarnedSerializer(Shape):
    """What was earned in one currency."""

    currency = serializers.CharField()
    amount = serializers.CharField()

    def to_representation(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return the exact amount with the decimals of its currency."""
        return {"currency": line["currency"], "amount": format_amount(line["amount"], line["currency"])}


@extend_schema_serializer(many=False, examples=response_example("A person's invitations", REFERRAL_EXAMPLE))
class ReferralSerializer(Shape):
    """A person's invitations."""

    code = serializers.CharField()
    link = serializers.CharField(help_text="Where friends register with the code.")
    friends = serializers.IntegerField(help_text="How many friends registered with it.")
    rewarded = serializers.IntegerField(help_text="For how many of them a credit was granted and not taken back.")
    earned = EarnedSerializer(many=True)


class RewardSerializer(Shape):
    """The credit granted for a friend."""

    amount = serializers.CharField()
    currency = serializers.CharField()
    pending_until = serializers.DateTimeField(allow_null=True, help_text="When it can be spent; null once it can.")


class FriendSerializer(Shape):
    """A friend who registered with the code. Neither email nor id is shown."""

    friend = serializers.CharField(help_text="The first letter of the friend's email.")
    joined_at = serializers.DateTimeField()
    state = serializers.ChoiceField(choices=FriendState.values)
    reward = RewardSerializer(allow_null=True)

    def to_representation(self, referral: Any) -> dict[str, Any]:
        """Return what came of a row of referrals_of."""
        friend = invited_friend(referral)
        reward = friend.reward
        return {
            "friend": friend.name,
            "joined_at": format_timestamp(friend.joined_at),
            "state": friend.state.value,
            "reward": reward
            and {
                "amount": format_amount(reward.amount, reward.currency),
                "currency": reward.currency,
                "pending_until": format_timestamp(reward.pending_until),
            },
        }


class ReferralViewSet(BaseViewSet):
    """The caller's invitations."""

    permissions: ClassVar = {"list": IsAuthenticated}
    serializer_class = ReferralSerializer
    pagination_class = None
    filter_backends = ()

    @operation("Show the invitation code", operation_id="referral_retrieve", responses=ReferralSerializer)
    def list(self, request: Request) -> Response:
        """Return the caller's code and link, which the first call makes, and what they earned."""
        code = ensure_referral_code(self.user)
        body = {"code": code, "link": referral_link(code), **referral_counts(self.user)}
        return Response(ReferralSerializer(body).data)


class FriendViewSet(BaseViewSet):
    """The friends who registered with the caller's code."""

    permissions: ClassVar = {"list": IsAuthenticated}
    serializer_class = FriendSerializer
    filter_backends = ()
    orderings: ClassVar = {"joined_at": "created_at"}
    ordering = "-joined_at"

    @operation("List invited friends", operation_id="referral_friends_list")
    def list(self, request: Request) -> Response:
        """Return the friends, latest first, with what came of each."""
        page = self.paginate_queryset(referrals_of(self.user))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)
