"""Features and behavior: what there is, what it comes to for whom, and why."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from backend.actors import subject_named
from features.actions.versions import create_feature, publish, set_current
from features.availability import features_for, retires_json
from features.contents import titles_of
from features.engine import diff
from features.explain import Viewer, behavior_json, editable, rule_for, version_hidden
from features.find import current_number, find_feature, find_version
from features.models import Feature, Version, Withdrawal
from features.released import released
from features.resolve import serve, serve_vendor, serve_warm
from features.served import Served
from features.withdrawn import withdrawals_now, withdrawn_json
from tenants.actor import Actor
from tenants.errors import Malformed
from tenants.isolation import OPERATOR
from tenants.subjects import tenant_itself

from .conditions import OfFeature
from .door import Door, flag, moment, page, whole
from .fields import Choice, Object, Strict, Text, Whole
from .schema import DRY_RUN, PAGING
from .shapes import BEHAVIOR, CURRENT, CURRENT_NOW, DIFF, FEATURE, VERSION, VERSION_ROW, answers, listed

AT = OpenApiParameter("at", OpenApiTypes.DATETIME, description="as of a past moment")
USER = OpenApiParameter("user", str, description="for another subject (admins): an end user's key, or member:<id>")
AS = OpenApiParameter("as", str, enum=["tenant"], description="for the organisation itself (admins)")
EXPLAIN = OpenApiParameter("explain", bool, description="per field: its layer, revision, rule, and what is suspended")


class NewFeature(Strict):
    """A feature and its first version."""

    feature = Text(max_length=64)
    title = Text(max_length=100)
    summary = Text(max_length=300, required=False, allow_blank=True)
    verb = Text(max_length=40, required=False, allow_blank=True)
    icon = Text(max_length=40, required=False, allow_blank=True)
    behavior = Object()
    rules = Object(required=False)
    titles = Object(required=False)
    samples = serializers.ListField(child=serializers.JSONField(), max_length=50, required=False)
    message = Text(max_length=500, required=False, allow_blank=True)


class NewVersion(Strict):
    """The next version; rules, titles and samples that are not given stay as they were."""

    behavior = Object()
    rules = Object(required=False)
    titles = Object(required=False)
    samples = serializers.ListField(child=serializers.JSONField(), max_length=50, required=False)
    message = Text(max_length=500, required=False, allow_blank=True)
    publish = Choice(["current", "none"], default="none")


class Current(Strict):
    """The version that everyone follows who stays on none of their own."""

    version = Whole(min_value=1)


class Features(Door):
    """The features there are."""

    @extend_schema(parameters=PAGING, responses=answers(listed(FEATURE)), summary="List the features")
    def get(self, request: Request) -> Response:
        rows = features_for(self.actor)
        return page(request, rows, lambda feature: feature_json(feature, self.actor), actor=self.actor)

    @extend_schema(
        request=NewFeature, responses=answers(FEATURE, 201), summary="Make a feature, running at once (operators)"
    )
    def post(self, request: Request) -> Response:
        self.actor.need("feature.create")
        body = self.read(NewFeature)
        feature, version = create_feature(key=body.pop("feature"), **body, by=self.actor)
        answer = {**_about(feature), "version": version.number, "digest": version.digest}
        return Response(answer, status=201, headers={"Location": f"/api/v1/features/{feature.key}"})


class OneFeature(Door):
    """One feature as it is for the caller."""

    @extend_schema(responses=answers(FEATURE), summary="One feature, with the schemas effective for me")
    def get(self, request: Request, feature: str) -> Response:
        if self.actor.tenant is None:
            with self.actor.present():
                return Response(feature_json(find_feature(feature, self.actor), self.actor))
        return Response(served_json(self.now_served(feature), self.actor))


class Behavior(Door):
    """The effective behavior of a subject."""

    @extend_schema(parameters=[AT, USER, AS, EXPLAIN], responses=answers(BEHAVIOR), summary="What a subject is served")
    def get(self, request: Request, feature: str) -> Response:
        actor, at, why = self.actor, moment(request.query_params.get("at")), flag(request, "explain")
        if actor.tenant is not None and at is None and not {"user", "as"} & request.query_params.keys():
            now = self.now_served(feature)
            return Response(behavior_json(now, viewer_of(actor), today=now, explain=why))
        found = find_feature(feature, actor)
        if actor.tenant is None:
            if {"user", "as"} & request.query_params.keys():
                actor.need("behavior.others")
            served = serve_vendor(found, at)
            return Response(behavior_json(served, "vendor", explain=why))
        who, viewer = self._whose(request, actor)
        with actor.present():
            now = serve_warm(found, actor.tenant_id, who)
            served = now if at is None else serve(found, actor.tenant_id, who, at)
            return Response(behavior_json(served, viewer, today=now, explain=why))

    def _whose(self, request: Request, actor: Actor) -> tuple[Any, Viewer]:
        user, as_ = request.query_params.get("user"), request.query_params.get("as")
        if user is not None and as_ is not None:
            raise Malformed("Ask for one subject: user or as, not both.")
        if user is not None:
            actor.need("behavior.others")
            return subject_named(actor, user), "tenant"
        if as_ is not None:
            if as_ != "tenant":
                raise Malformed("as is `tenant`.")
            actor.need("behavior.others")
            return tenant_itself(actor.tenant_id), "tenant"
        return actor.acting_for(), viewer_of(actor)


class Versions(Door):
    """The base history of a feature."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(VERSION_ROW)), summary="The versions released to me, newest first"
    )
    def get(self, request: Request, feature: str) -> Response:
        found = find_feature(feature, self.actor)
        with self.actor.present():
            current = current_number(found, self.actor.db)
            stopped = withdrawals_now(found, self.actor.db)
            rows = Version.objects.using(self.actor.db).filter(feature=found)
            if self.actor.tenant is not None:
                rows = rows.filter(number__in=released(found, self.actor.tenant_id, self.actor.acting_for()))
        return page(request, rows, lambda row: _version_row(row, current, stopped), actor=self.actor, by="number")

    @extend_schema(request=NewVersion, responses=answers(VERSION_ROW, 201), summary="Publish a version (operators)")
    def post(self, request: Request, feature: str) -> Response:
        self.actor.need("version.publish")
        body = self.read(NewVersion)
        found = find_feature(feature, self.actor)
        make_current = body.pop("publish") == "current"
        version = publish(found, **body, make_current=make_current, by=self.actor)
        current = current_number(found, self.actor.db)
        return Response(
            {**_version_row(version, current, {}), "publish": "current" if make_current else "none"},
            status=201,
            headers={"Location": f"/api/v1/features/{feature}/versions/{version.number}"},
        )


class OneVersion(Door):
    """One version, without what is hidden from the caller."""

    @extend_schema(responses=answers(VERSION), summary="One version")
    def get(self, request: Request, feature: str, number: int) -> Response:
        found = find_feature(feature, self.actor)
        version = find_version(found, number, self.actor)
        hidden = _hidden(found, [number], self.actor)
        with self.actor.present():
            current, stopped = current_number(found, self.actor.db), withdrawals_now(found, self.actor.db)
        fields = {name: value for name, value in version.behavior.items() if name not in hidden}
        about = {"fields": fields, "rules": version.rules, "titles": version.titles}
        if self.actor.tenant is None:
            about["samples"] = version.samples
        unseen = sorted(hidden & set(version.behavior))
        return Response({**_version_row(version, current, stopped), **about, "hidden": unseen})


class VersionDiff(Door):
    """What differs between two versions."""

    @extend_schema(
        parameters=[OpenApiParameter("to", int, required=True, description="the version to compare with")],
        responses=answers(DIFF),
        summary="Compare two versions",
    )
    def get(self, request: Request, feature: str, number: int) -> Response:
        to = whole(request.query_params.get("to"), -1)
        if to < 0:
            raise Malformed("Say with which version to compare: ?to=<number>.")
        found = find_feature(feature, self.actor)
        before, after = (find_version(found, n, self.actor) for n in (number, to))
        hidden = _hidden(found, [number, to], self.actor)
        changes = [change_json(c, hidden) for c in diff(before.behavior, after.behavior)]
        return Response({"from": number, "to": to, "changes": changes})


class CurrentDoor(OfFeature):
    """Which version is current."""

    state = ("version",)

    @extend_schema(responses=answers(CURRENT_NOW), summary="Which version is current (operators)")
    def get(self, request: Request, feature: str) -> Response:
        self.actor.need("version.read")
        found = find_feature(feature, self.actor)
        with self.actor.present():
            return Response({"feature": found.key, "version": current_number(found, OPERATOR)})

    @extend_schema(
        request=Current, parameters=[DRY_RUN], responses=answers(CURRENT),
        summary="Move the current version, either way (operators)",
    )  # fmt: skip
    def put(self, request: Request, feature: str) -> Response:
        self.actor.need("current.move")
        body = self.read(Current)
        found = find_feature(feature, self.actor)
        return Response(set_current(found, body["version"], by=self.actor, dry_run=flag(request, "dry_run")))


def viewer_of(actor: Actor) -> Viewer:
    """As which layer an actor looks at behavior."""
    if actor.tenant is None:
        return "vendor"
    return "tenant" if actor.acting_for().is_tenant else "user"


def change_json(change: Any, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
    """One field's difference; of a hidden field only that there is one."""
    told: dict[str, Any] = {"field": change.field, "kind": change.kind}
    if change.field in hidden:
        return {**told, "hidden": True}
    told |= {"before": change.before, "after": change.after}
    if change.lines is not None:
        told["lines"] = [{"kind": kind, "text": text} for kind, text in change.lines]
    return told


def feature_json(feature: Feature, actor: Actor) -> dict[str, Any]:
    """A feature as it is for the actor; within the actor's transaction."""
    if actor.tenant is None:
        current = current_number(feature, actor.db)
        return {**_about(feature), "version": current}
    return served_json(serve_warm(feature, actor.tenant_id, actor.acting_for()), actor)


def served_json(served: Served, actor: Actor) -> dict[str, Any]:
    """A feature as it is for whom it was served to."""
    feature, viewer = served.feature, viewer_of(actor)
    may = "override.tenant" if viewer == "tenant" else "override.user"
    fields = served.effective.fields
    return {
        **_about(feature),
        "version": served.receipt.base,
        "tenant_revision": served.receipt.tenant,
        "user_revision": served.receipt.user,
        "digest": served.digest,
        "input": fields["input"],
        "output": fields["output"],
        "editable": [name for name in fields if may in actor.can and editable(rule_for(name, served, viewer), viewer)],
        "titles": titles_of(feature, served.receipt.base),
    }


def _about(feature: Feature) -> dict[str, Any]:
    return {
        "feature": feature.key,
        "title": feature.title,
        "summary": feature.summary,
        "verb": feature.verb,
        "icon": feature.icon,
        "retires": retires_json(feature),
    }


def _version_row(version: Version, current: int | None, stopped: dict[int, Withdrawal]) -> dict[str, Any]:
    return {
        "version": version.number,
        "digest": version.digest,
        "message": version.message,
        "created": version.created_at,
        "current": version.number == current,
        "withdrawn": withdrawn_json(version.number, stopped),
    }


def _hidden(feature: Feature, numbers: list[int], actor: Actor) -> frozenset[str]:
    if actor.tenant is None:
        return frozenset()
    with actor.present():
        today: Served = serve_warm(feature, actor.tenant_id, actor.acting_for())
        return frozenset().union(*(version_hidden(feature, number, today) for number in numbers))
