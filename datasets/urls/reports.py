from __future__ import annotations

from django.urls import URLPattern, path

from datasets.verbs import verbs
from datasets.views import reports

ALL = "p/<slug:project>/quality/"
ONE = ALL + "<int:report>/"

urlpatterns: list[URLPattern] = [
    path(ALL, reports.report_list, name="report-list"),
    path(ALL + "new/", verbs(get=reports.report_new, post=reports.report_create), name="report-new"),
    path(ONE, reports.report_detail, name="report-detail"),
    path(ONE + "download/", reports.report_download, name="report-download"),
    path(ONE + "delete/", reports.report_delete, name="report-delete"),
]
