from __future__ import annotations

from django.urls import URLPattern, path

from datasets.views import criteria

ALL = "p/<slug:project>/criteria/"
ONE = ALL + "<int:criterion>/"

urlpatterns: list[URLPattern] = [
    path(ALL, criteria.criterion_list, name="criterion-list"),
    path(ALL + "new/", criteria.criterion_new, name="criterion-new"),
    path(ONE, criteria.criterion_detail, name="criterion-detail"),
    path(ONE + "archive/", criteria.criterion_archive, name="criterion-archive"),
]
