from __future__ import annotations

from django.urls import path

from generation.views import personas

urlpatterns = [
    path("p/<slug:project>/personas/grow/", personas.persona_grow, name="persona-grow"),
    path("p/<slug:project>/personas/grow/estimate/", personas.persona_estimate, name="persona-estimate"),
    path("p/<slug:project>/personas/growths/<int:growth>/", personas.persona_growth, name="persona-growth"),
    path(
        "p/<slug:project>/personas/growths/<int:growth>/<slug:action>/",
        personas.persona_growth_action,
        name="persona-growth-action",
    ),
]
