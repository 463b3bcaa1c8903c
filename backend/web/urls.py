"""The dashboard's addresses. Everything a person can look at has one; `mine` and `org/f` are one page, two layers."""

from django.urls import path

from .views import home, mine, runs, timeline, use, vendor

app_name = "web"

urlpatterns = [
    path("", home.home, name="home"),
    path("switch", home.switch, name="switch"),
    path("f/<str:key>", use.use, name="use"),
    path("f/<str:key>/mine", mine.mine, {"layer": "user"}, name="mine"),
    path("f/<str:key>/timeline", timeline.timeline, name="timeline"),
    path("org/f/<str:key>", mine.mine, {"layer": "tenant"}, name="org_mine"),
    path("runs", runs.runs, name="runs"),
    path("runs/<uuid:run_id>", runs.run, name="run"),
    path("runs/<uuid:run_id>/stop", runs.stop, name="stop"),
    path("runs/<uuid:run_id>/rate", runs.rate, name="rate"),
    path("vendor/features", vendor.features, name="vendor_features"),
]
