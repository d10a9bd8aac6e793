from __future__ import annotations

from django.urls import URLPattern, path

from datasets.views import imports

ALL = "p/<slug:project>/conversations/import/"
ONE = ALL + "<int:number>/"

urlpatterns: list[URLPattern] = [
    path(ALL, imports.import_list, name="import-list"),
    path(ONE, imports.import_detail, name="import-detail"),
    path(ONE + "start/", imports.import_start, name="import-start"),
    path(ONE + "discard/", imports.import_discard, name="import-discard"),
]
