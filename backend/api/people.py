"""Admins and their people's changes; passing operations on between an organisation and its users."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from backend.actors import subject_named
from features.actions.overrides import Saved, override_json
from features.actions.people import Left, inherit_for, leave_to, overrides_of
from features.actions.pins import marks_of
from features.actions.promote import hand_out, promote
from features.explain import suspended_json
from features.find import find_feature
from features.models import Override

from .door import Door, expected_of, flag, page
from .fields import Strict, Text, Truth
from .overrides import answer
from .pins import pin_json
from .schema import DRY_RUN, IF_MATCH, PAGING
from .shapes import CHANGED, HANDED, LEFT, OVERRIDE, PROMOTED, answers, listed

MOST = 200  # users named in one request


class LeaveBody(Strict):
    """To whom, and what: all features if none are named."""

    to = Text(max_length=210)
    features = serializers.ListField(child=Text(max_length=64), required=False, allow_null=True)
    replace = Truth(default=False)


class PromoteBody(Strict):
    """Which of my operations, all if none are named, and whether they stay mine as well."""

    fields = serializers.ListField(child=Text(max_length=140), required=False, allow_null=True)  # type: ignore[assignment]
    keep_mine = Truth(default=True)


class HandOutBody(Strict):
    """Which of the organisation's operations, all if none are named, to whom, and whether they stay its own too."""

    fields = serializers.ListField(child=Text(max_length=140), required=False, allow_null=True)  # type: ignore[assignment]
    subjects = serializers.ListField(child=Text(max_length=210), min_length=1, max_length=MOST)
    keep_ours = Truth(default=True)
    replace = Truth(default=False)


class Overrides(Door):
    """Who has changed what."""

    @extend_schema(
        parameters=PAGING, responses=answers(listed(CHANGED)),
        summary="What the organisation's people and users change (admins)",
    )  # fmt: skip
    def get(self, request: Request, feature: str) -> Response:
        self.actor.need("override.others")
        found, seen = find_feature(feature, self.actor), "behavior.others" in self.actor.can
        return page(request, overrides_of(found), lambda row: _changed(row, seen), actor=self.actor)


class OverrideOf(Door):
    """Somebody's override."""

    conditional = True

    @extend_schema(
        parameters=[IF_MATCH],
        responses=answers(OVERRIDE),
        summary="Let somebody inherit everything again (admins, audited)",
    )
    def delete(self, request: Request, feature: str, subject: str) -> Response:
        self.actor.need("override.others")
        found, who = find_feature(feature, self.actor), subject_named(self.actor, subject)
        return answer(inherit_for(found, who, expected=expected_of(request), by=self.actor))


class LeaveTo(Door):
    """What somebody leaves."""

    @extend_schema(
        request=LeaveBody, parameters=[DRY_RUN], responses=answers(LEFT),
        summary="Copy somebody's changes and pins to somebody else, also after they left (admins, audited)",
    )  # fmt: skip
    def post(self, request: Request, subject: str) -> Response:
        self.actor.need("override.others")
        body, dry = self.read(LeaveBody), flag(request, "dry_run")
        who, to = subject_named(self.actor, subject), subject_named(self.actor, body["to"])
        named = body.get("features")
        features = None if named is None else [find_feature(key, self.actor) for key in named]
        left = leave_to(who, to, features=features, replace=body["replace"], by=self.actor, dry_run=dry)
        items = [self._left(item) for item in left]
        return Response({"from": who.key, "to": to.key, "items": items, "dry_run": dry})

    def _left(self, item: Left) -> dict[str, Any]:
        with self.actor.present():
            pin = item.pin and pin_json(item.pin, marks_of(item.feature))
        return {"feature": item.feature.key, "override": item.saved and _saved(item.saved), "pin": pin}


class Promote(Door):
    """From me to the organisation."""

    @extend_schema(
        request=PromoteBody, parameters=[DRY_RUN], responses=answers(PROMOTED),
        summary="Copy my changes, or some, to the organisation's (admins)",
    )  # fmt: skip
    def post(self, request: Request, feature: str) -> Response:
        self.actor.need("override.tenant")
        body, dry = self.read(PromoteBody), flag(request, "dry_run")
        found = find_feature(feature, self.actor)
        done = promote(found, fields=body.get("fields"), keep_mine=body["keep_mine"], by=self.actor, dry_run=dry)
        told = {"fields": done.fields, "replaced": done.replaced, "joined": done.joined, "dry_run": dry}
        return Response({**told, "ours": _saved(done.ours), "mine": done.mine and override_json(done.mine)})


class HandOut(Door):
    """From the organisation to some."""

    @extend_schema(
        request=HandOutBody, parameters=[DRY_RUN], responses=answers(HANDED),
        summary="Copy the organisation's changes, or some, to chosen users (admins)",
    )  # fmt: skip
    def post(self, request: Request, feature: str) -> Response:
        self.actor.need("override.others")
        body, dry = self.read(HandOutBody), flag(request, "dry_run")
        found = find_feature(feature, self.actor)
        subjects = [subject_named(self.actor, key) for key in body["subjects"]]
        done = hand_out(
            found, fields=body.get("fields"), subjects=subjects, keep_ours=body["keep_ours"],
            replace_theirs=body["replace"], by=self.actor, dry_run=dry,
        )  # fmt: skip
        theirs = [{"subject": who.key, "override": _saved(saved)} for who, saved in done.theirs]
        return Response(
            {"fields": done.fields, "theirs": theirs, "ours": done.ours and override_json(done.ours), "dry_run": dry}
        )


def _saved(saved: Saved) -> dict[str, Any]:
    return {**override_json(saved.row), "suspended": [suspended_json(item, frozenset()) for item in saved.suspended]}


def _changed(row: Override, seen: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "subject": row.subject.key,
        "revision": row.number,
        "fields": [operation["field"] for operation in row.operations],
        "author": row.author,
        "saved": row.valid_from,
    }
    if seen:
        written = override_json(row)
        told["override"] = {name: written[name] for name in ("set", "append", "remove") if name in written}
    return told
