"""Which organisations have a feature, and when it ends for everybody."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from features.actions.availability import availability_of, caching_of, retire, set_available, set_caching, unretire
from features.find import find_feature

from .conditions import OfFeature
from .door import flag
from .fields import Moment, Strict, Text, Truth, Whole
from .schema import DRY_RUN
from .shapes import AVAILABILITY, AVAILABLE, CACHING, RETIREMENT, answers

MOST = 1000  # organisations named in one request


class AvailabilityBody(Strict):
    """Whom a feature is served to; what is not given stays. Organisations by slug: the whole list, or what changes."""

    listed_only = Truth(required=False)
    tenants = serializers.ListField(child=Text(max_length=50), max_length=MOST, required=False)
    add = serializers.ListField(child=Text(max_length=50), max_length=MOST, required=False)
    remove = serializers.ListField(child=Text(max_length=50), max_length=MOST, required=False)


class RetirementBody(Strict):
    """When a feature ends, and what people are told of it."""

    at = Moment()
    message = Text(max_length=500, required=False, allow_blank=True)


class AvailabilityDoor(OfFeature):
    """Whom a feature is served to."""

    state = ("listed_only", "tenants")

    @extend_schema(responses=answers(AVAILABILITY), summary="Which organisations have a feature (operators)")
    def get(self, request: Request, feature: str) -> Response:
        self.actor.need("version.read")
        return Response(availability_of(find_feature(feature, self.actor), self.actor))

    @extend_schema(
        request=AvailabilityBody, parameters=[DRY_RUN], responses=answers(AVAILABLE),
        summary="Serve a feature to everybody, or to listed organisations alone (operators)",
    )  # fmt: skip
    def put(self, request: Request, feature: str) -> Response:
        self.actor.need("feature.manage")
        body = self.read(AvailabilityBody)
        found, dry = find_feature(feature, self.actor), flag(request, "dry_run")
        return Response(set_available(found, **body, by=self.actor, dry_run=dry))


class CachingBody(Strict):
    """How many seconds an output answers equal runs: 0 never, null as long as usual."""

    seconds = Whole(min_value=0, max_value=31_536_000, allow_null=True)


class Caching(OfFeature):
    """How long a feature's outputs answer equal runs."""

    state = ("seconds",)
    optional = True

    @extend_schema(responses=answers(CACHING), summary="How long an output answers equal runs (operators)")
    def get(self, request: Request, feature: str) -> Response:
        return Response(caching_of(find_feature(feature, self.actor), self.actor))

    @extend_schema(
        request=CachingBody, responses=answers(CACHING),
        summary="Say how long an output answers equal runs, or turn that off (operators)",
    )  # fmt: skip
    def put(self, request: Request, feature: str) -> Response:
        self.actor.need("feature.manage")
        body = self.read(CachingBody)
        return Response(set_caching(find_feature(feature, self.actor), body["seconds"], by=self.actor))


class Retirement(OfFeature):
    """The end of a feature."""

    state = ("retires",)
    optional = True

    @extend_schema(responses=answers(AVAILABILITY), summary="When a feature ends, if it does (operators)")
    def get(self, request: Request, feature: str) -> Response:
        return Response(availability_of(find_feature(feature, self.actor), self.actor))

    @extend_schema(
        request=RetirementBody, parameters=[DRY_RUN], responses=answers(RETIREMENT),
        summary="Announce the moment from which nothing of a feature runs or is saved (operators)",
    )  # fmt: skip
    def put(self, request: Request, feature: str) -> Response:
        self.actor.need("feature.manage")
        body = self.read(RetirementBody)
        found, dry = find_feature(feature, self.actor), flag(request, "dry_run")
        return Response(retire(found, **body, by=self.actor, dry_run=dry))

    @extend_schema(
        parameters=[DRY_RUN], responses=answers(RETIREMENT), summary="Let a feature go on after all (operators)"
    )
    def delete(self, request: Request, feature: str) -> Response:
        self.actor.need("feature.manage")
        found, dry = find_feature(feature, self.actor), flag(request, "dry_run")
        return Response(unretire(found, by=self.actor, dry_run=dry))
