"""The vendor's emergency stop of a version."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.withdrawals import lift, withdraw, withdrawal_of
from features.find import find_feature

from .door import Door, flag
from .fields import Strict, Text, Whole
from .schema import DRY_RUN
from .shapes import WITHDRAWAL, answers


class WithdrawBody(Strict):
    """What stands in for the version, and why."""

    replacement = Whole(min_value=1)
    reason = Text(max_length=500)


class Withdraw(Door):
    """The withdrawal of a version."""

    @extend_schema(responses=answers(WITHDRAWAL), summary="The withdrawal in force of a version (operators)")
    def get(self, request: Request, feature: str, number: int) -> Response:
        self.actor.need("version.read")
        found = find_feature(feature, self.actor)
        return Response(withdrawal_of(found, number, self.actor).as_json(dry_run=False))

    @extend_schema(
        request=WithdrawBody, parameters=[DRY_RUN], responses=answers(WITHDRAWAL),
        summary="Serve a replacement to everybody on a version, pins and queued runs included (operators)",
    )  # fmt: skip
    def post(self, request: Request, feature: str, number: int) -> Response:
        self.actor.need("version.withdraw")
        body = self.read(WithdrawBody)
        found, dry = find_feature(feature, self.actor), flag(request, "dry_run")
        return Response(withdraw(found, number, **body, by=self.actor, dry_run=dry).as_json(dry_run=dry))

    @extend_schema(parameters=[DRY_RUN], responses=answers(WITHDRAWAL), summary="Lift a withdrawal (operators)")
    def delete(self, request: Request, feature: str, number: int) -> Response:
        self.actor.need("version.withdraw")
        found, dry = find_feature(feature, self.actor), flag(request, "dry_run")
        return Response(lift(found, number, by=self.actor, dry_run=dry).as_json(dry_run=dry))
