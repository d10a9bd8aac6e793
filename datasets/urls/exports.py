from __future__ import annotations

from django.urls import URLPattern, path

from datasets.verbs import verbs
from datasets.views import exports

ALL = "p/<slug:project>/exports/"
ONE = ALL + "<int:export>/"

urlpatterns: list[URLPattern] = [
    path(ALL, exports.export_list, name="export-list"),
    path(ALL + "new/", verbs(get=exports.export_new, post=exports.export_create), name="export-new"),
    path(ONE, exports.export_detail, name="export-detail"),
    path(ONE + "download/", exports.export_download, name="export-download"),
    path(ONE + "delete/", exports.export_delete, name="export-delete"),
]
