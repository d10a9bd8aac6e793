from __future__ import annotations

from django.urls import path

from datasets.views import projects

urlpatterns = [
    path("", projects.project_list, name="project-list"),
    path("new/", projects.project_new, name="project-new"),
    path("p/<slug:project>/", projects.project_home, name="project-home"),
    path("p/<slug:project>/activity/", projects.activity, name="activity"),
    path("p/<slug:project>/settings/", projects.project_settings, name="project-settings"),
    path("p/<slug:project>/settings/delete/", projects.project_delete, name="project-delete"),
]
