"""The addresses of the whole site, but for those below /health/, which health.py answers before any host is looked at.

`docs/architecture.md` maps them to rooms.
"""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from afterimage_web.api import api

urlpatterns = [
    path("login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("password/", auth.PasswordChangeView.as_view(), name="password_change"),
    path("password/done/", auth.PasswordChangeDoneView.as_view(), name="password_change_done"),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("", include("datasets.urls")),
    path("", include("generation.urls")),
]

handler500 = "afterimage_web.troubles.server_error"
