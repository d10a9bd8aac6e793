from __future__ import annotations

from django.urls import path

from datasets.views import personas, personas_files, personas_review

urlpatterns = [
    path("p/<slug:project>/personas/", personas.persona_list, name="persona-list"),
    path("p/<slug:project>/personas/new/", personas.persona_new, name="persona-new"),
    path("p/<slug:project>/personas/import/", personas_files.persona_import, name="persona-import"),
    path(
        "p/<slug:project>/personas/import/<int:number>/",
        personas_files.persona_import_detail,
        name="persona-import-detail",
    ),
    path("p/<slug:project>/personas/export/", personas_files.persona_export, name="persona-export"),
    path("p/<slug:project>/personas/review/", personas_review.persona_review, name="persona-review"),
    path("p/<slug:project>/personas/review/accept/", personas_review.persona_accept_all, name="persona-accept-all"),
    path("p/<slug:project>/personas/rejected/", personas_review.persona_clear_rejected, name="persona-clear-rejected"),
    path("p/<slug:project>/personas/<int:persona>/", personas.persona_detail, name="persona-detail"),
    path("p/<slug:project>/personas/<int:persona>/archive/", personas.persona_archive, name="persona-archive"),
    path("p/<slug:project>/personas/<int:persona>/decide/", personas_review.persona_decide, name="persona-decide"),
    path("p/<slug:project>/personas/<int:persona>/delete/", personas.persona_delete, name="persona-delete"),
]
