"""The dashboard's addresses. Everything a person can look at has one; `mine` and `org/f` are one page, two layers."""

from django.urls import path

from .views import compare, correcting, home, mine, notices, people, rollouts, runs, timeline, upgrade, use, vendor

app_name = "web"

urlpatterns = [
    path("", home.home, name="home"),
    path("switch", home.switch, name="switch"),
    path("f/<str:key>", use.use, name="use"),
    path("f/<str:key>/mine", mine.mine, {"layer": "user"}, name="mine"),
    path("f/<str:key>/timeline", timeline.timeline, {"layer": "user"}, name="timeline"),
    path("f/<str:key>/upgrade", upgrade.upgrade, {"layer": "user"}, name="upgrade"),
    path("org/f/<str:key>", mine.mine, {"layer": "tenant"}, name="org_mine"),
    path("org/f/<str:key>/timeline", timeline.timeline, {"layer": "tenant"}, name="org_timeline"),
    path("org/f/<str:key>/upgrade", upgrade.upgrade, {"layer": "tenant"}, name="org_upgrade"),
    path("org/conflicts", upgrade.conflicts, name="org_conflicts"),
    path("org/people", people.people, name="org_people"),
    path("org/people/<path:key>", people.person, name="org_person"),
    path("notices", notices.notices, name="notices"),
    path("notices/count", notices.count, name="notices_count"),
    path("notices/<uuid:notice_id>/read", notices.read, name="notice_read"),
    path("runs", runs.runs, name="runs"),
    path("runs/compare", compare.compare, name="compare"),
    path("runs/<uuid:run_id>", runs.run, name="run"),
    path("runs/<uuid:run_id>/output.<str:form>", runs.download, name="run_file"),
    path("runs/<uuid:run_id>/correct", correcting.correct, name="correct"),
    path("runs/<uuid:run_id>/stop", runs.stop, name="stop"),
    path("runs/<uuid:run_id>/again", runs.again, name="again"),
    path("runs/<uuid:run_id>/rate", runs.rate, name="rate"),
    path("vendor/features", vendor.features, name="vendor_features"),
    path("vendor/f/<str:key>/versions", vendor.versions, name="vendor_versions"),
    path("vendor/rollouts", rollouts.rollouts, name="rollouts"),
    path("vendor/rollouts/new", rollouts.new, name="rollout_new"),
    path("vendor/rollouts/<uuid:rollout_id>", rollouts.rollout, name="rollout"),
]
