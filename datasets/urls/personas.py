from __future__ import annotations

from django.urls import path

from datasets.views import personas

urlpatterns = [
    path("p/<slug:project>/personas/", personas.persona_list, name="persona-list"),
    path("p/<slug:project>/personas/new/", personas.persona_new, name="persona-new"),
    path("p/<slug:project>/personas/<int:persona>/", personas.persona_detail, name="persona-detail"),
    path("p/<slug:project>/personas/<int:persona>/archive/", personas.persona_archive, name="persona-archive"),
]
