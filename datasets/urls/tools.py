from __future__ import annotations

from django.urls import URLPattern, path

from datasets.views import tools

ALL = "p/<slug:project>/tools/"

urlpatterns: list[URLPattern] = [
    path(ALL, tools.tool_list, name="tool-list"),
    path(ALL + "new/", tools.tool_new, name="tool-new"),
    path(ALL + "paste/", tools.tool_paste, name="tool-paste"),
    path(ALL + "<int:tool>/", tools.tool_detail, name="tool-detail"),
    path(ALL + "<int:tool>/archive/", tools.tool_archive, name="tool-archive"),
]
