"""Every address: the API, the dashboard, sign-in, health."""

from django.urls import include, path

from backend.api.error_types import error_type
from backend.api.health import healthz, readyz
from backend.api.metrics import metrics

urlpatterns = [
    path("api/v1/", include(("backend.api.urls", "api"))),
    path("errors/<slug:name>", error_type),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("accounts/", include("allauth.account.urls")),
    path("", include("backend.web.urls")),
]

handler400 = "backend.api.problems.unreadable"
handler404 = "backend.api.problems.nothing_here"
handler500 = "backend.api.problems.broken"
