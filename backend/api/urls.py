"""The addresses of the public API, version 1."""

from django.urls import path, register_converter

from . import (
    approvals,
    availability,
    batches,
    budgets,
    conflicts,
    features,
    impact,
    invitations,
    notices,
    openapi,
    operator_keys,
    overrides,
    people,
    pins,
    previews,
    provider_keys,
    rollouts,
    runs,
    runs_read,
    suggestions,
    support,
    tenant,
    vendor,
    webhooks,
    withdrawals,
)
from .problems import nothing_here


class Layer:
    """The layers that can be changed."""

    regex = "tenant|user"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(Layer, "layer")

FEATURE = "features/<str:feature>"
ROLLOUT = "rollouts/<uuid:rollout_id>"
WEBHOOK = "webhooks/<uuid:webhook_id>"
OVERRIDE = f"{FEATURE}/override/<layer:layer>"

urlpatterns = [
    path("", nothing_here),
    path("openapi.json", openapi.openapi),
    path("docs", openapi.docs),
    path("docs.js", openapi.docs_script),
    path("me", tenant.Me.as_view()),
    path("features", features.Features.as_view()),
    path(FEATURE, features.OneFeature.as_view()),
    path(f"{FEATURE}/impact", impact.Ask.as_view()),
    path(f"{FEATURE}/impacts", impact.Impacts.as_view()),
    path("impacts/<uuid:impact_id>", impact.OneImpact.as_view()),
    path("impacts/<uuid:impact_id>/rows", impact.ImpactRows.as_view()),
    path(f"{ROLLOUT}/impact", impact.RolloutImpact.as_view()),
    path(f"{FEATURE}/behavior", features.Behavior.as_view()),
    path(f"{FEATURE}/versions", features.Versions.as_view()),
    path(f"{FEATURE}/versions/<int:number>", features.OneVersion.as_view()),
    path(f"{FEATURE}/versions/<int:number>/diff", features.VersionDiff.as_view()),
    path(f"{FEATURE}/versions/<int:number>/withdraw", withdrawals.Withdraw.as_view()),
    path(f"{FEATURE}/availability", availability.AvailabilityDoor.as_view()),
    path(f"{FEATURE}/caching", availability.Caching.as_view()),
    path(f"{FEATURE}/retirement", availability.Retirement.as_view()),
    path(f"{FEATURE}/current", features.CurrentDoor.as_view()),
    path(f"{FEATURE}/override/user/promote", people.Promote.as_view()),
    path(f"{FEATURE}/override/tenant/hand-out", people.HandOut.as_view()),
    path(f"{FEATURE}/overrides", people.Overrides.as_view()),
    path(f"{FEATURE}/overrides/<str:subject>", people.OverrideOf.as_view()),
    path(OVERRIDE, overrides.OverrideDoor.as_view()),
    path(f"{OVERRIDE}/fields/<str:field>", overrides.OverrideField.as_view()),
    path(f"{OVERRIDE}/revisions", overrides.Revisions.as_view()),
    path(f"{OVERRIDE}/rollback", overrides.Rollback.as_view()),
    path(f"{OVERRIDE}/conflicts", conflicts.ConflictsDoor.as_view()),
    path(f"{OVERRIDE}/resolve", conflicts.Resolve.as_view()),
    path(f"{FEATURE}/pin/<layer:layer>", pins.PinDoor.as_view()),
    path(f"{FEATURE}/pins", pins.Pins.as_view()),
    path(f"{FEATURE}/pins/<str:subject>", pins.PinOf.as_view()),
    path(f"{FEATURE}/restore", pins.Restore.as_view()),
    path(f"{FEATURE}/preview", previews.create_preview, name="create-preview"),
    path(f"{FEATURE}/suggest", suggestions.create_suggestion, name="create-suggestion"),
    path(f"{FEATURE}/suggestions/<uuid:suggestion_id>", suggestions.OneSuggestion.as_view()),
    path("previews/<uuid:preview_id>", previews.OnePreview.as_view()),
    path(f"{FEATURE}/rollouts", rollouts.Rollouts.as_view()),
    path(ROLLOUT, rollouts.OneRollout.as_view()),
    path(f"{ROLLOUT}/events", rollouts.RolloutEvents.as_view()),
    path(f"{ROLLOUT}/guards", rollouts.RolloutGuards.as_view()),
    path(f"{ROLLOUT}/tenants", rollouts.RolloutTenants.as_view()),
    path(f"{ROLLOUT}/advance", rollouts.Advance.as_view()),
    path(f"{ROLLOUT}/pause", rollouts.Pause.as_view()),
    path(f"{ROLLOUT}/resume", rollouts.Resume.as_view()),
    path(f"{ROLLOUT}/rollback", rollouts.RollBack.as_view()),
    path(f"{FEATURE}/runs", runs.create_run, name="create-run"),
    path("runs", runs_read.Runs.as_view()),
    path("runs/<uuid:run_id>", runs_read.OneRun.as_view(), name="run"),
    path("runs/<uuid:run_id>/events", runs.run_events, name="run-events"),
    path("runs/<uuid:run_id>/cancel", runs.cancel_run, name="cancel-run"),
    path("runs/<uuid:run_id>/replay", runs.replay_run, name="replay-run"),
    path("runs/<uuid:run_id>/feedback", runs_read.RunFeedback.as_view()),
    path(f"{FEATURE}/batches", batches.create_batch, name="create-batch"),
    path("batches", batches.Batches.as_view()),
    path("batches/<uuid:batch_id>", batches.OneBatch.as_view()),
    path("batches/<uuid:batch_id>/results", batches.batch_results, name="batch-results"),
    path("batches/<uuid:batch_id>/cancel", batches.cancel_one, name="cancel-batch"),
    path("notices", notices.Notices.as_view()),
    path("notices/<uuid:notice_id>/read", notices.ReadNotice.as_view()),
    path("usage", runs_read.Usage.as_view()),
    path("budgets", budgets.Budgets.as_view()),
    path("budgets/<uuid:budget_id>", budgets.OneBudget.as_view()),
    path("tenant", tenant.TenantDoor.as_view()),
    path("members", tenant.Members.as_view()),
    path("members/<uuid:member_id>", tenant.OneMember.as_view()),
    path("invitations", invitations.Invitations.as_view()),
    path("invitations/<uuid:invitation_id>", invitations.OneInvitation.as_view()),
    path("invitations/<uuid:invitation_id>/resend", invitations.ResendInvitation.as_view()),
    path("subjects", tenant.Subjects.as_view()),
    path("subjects/<str:subject>/leave-to", people.LeaveTo.as_view()),
    path("keys", tenant.Keys.as_view()),
    path("keys/<uuid:key_id>", tenant.OneKey.as_view()),
    path("keys/<uuid:key_id>/rotate", tenant.RotateKey.as_view()),
    path("support-access", support.SupportAccess.as_view()),
    path("provider-keys", provider_keys.ProviderKeys.as_view()),
    path("provider-keys/<uuid:key_id>", provider_keys.OneProviderKey.as_view()),
    path("webhooks", webhooks.Webhooks.as_view()),
    path(WEBHOOK, webhooks.OneWebhook.as_view()),
    path(f"{WEBHOOK}/secret", webhooks.WebhookSecret.as_view()),
    path(f"{WEBHOOK}/test", webhooks.WebhookTest.as_view()),
    path(f"{WEBHOOK}/deliveries", webhooks.Deliveries.as_view()),
    path(f"{WEBHOOK}/deliveries/<uuid:delivery_id>/resend", webhooks.Resend.as_view()),
    path("audit", tenant.Audit.as_view()),
    path("models", vendor.Models.as_view()),
    path("models/<str:alias>", vendor.Alias.as_view()),
    path("models/<str:alias>/targets/<int:revision>", vendor.OneTarget.as_view()),
    path("tenants", vendor.Tenants.as_view()),
    path("tenants/<slug:slug>", vendor.OneTenant.as_view()),
    path("approvals", approvals.Approvals.as_view()),
    path("approvals/<uuid:approval_id>/approve", approvals.Approve.as_view()),
    path("approvals/<uuid:approval_id>/refuse", approvals.Refuse.as_view()),
    path("operator/keys", operator_keys.OperatorKeys.as_view()),
    path("operator/keys/<uuid:key_id>", operator_keys.OneOperatorKey.as_view()),
    path("operator/keys/<uuid:key_id>/rotate", operator_keys.RotateOperatorKey.as_view()),
    path("operator/audit", vendor.VendorAudit.as_view()),
    path("<path:rest>", nothing_here),
]
