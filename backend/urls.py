"""Every address: the API, the dashboard, sign-in, health."""

from allauth.account.urls import urlpatterns as allauth_pages
from django.urls import include, path

from backend.api.error_types import error_type
from backend.api.health import healthz, readyz
from backend.api.metrics import metrics

# allauth's pages, but for those by which people would change their address without proving that it is theirs.
sign_in = [page for page in allauth_pages if "email" not in str(page.pattern)]

urlpatterns = [
    path("api/v1/", include(("backend.api.urls", "api"))),
    path("errors/<slug:name>", error_type),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("accounts/", include(sign_in)),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("", include("backend.web.urls")),
]

handler429 = "backend.accounts.too_many"
handler400 = "backend.api.problems.unreadable"
handler404 = "backend.api.problems.nothing_here"
handler500 = "backend.api.problems.broken"
