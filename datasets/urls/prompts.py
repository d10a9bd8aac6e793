from __future__ import annotations

from django.urls import path

from datasets.views import prompts

urlpatterns = [
    path("p/<slug:project>/prompts/", prompts.prompt_list, name="prompt-list"),
    path("p/<slug:project>/prompts/new/", prompts.prompt_new, name="prompt-new"),
    path("p/<slug:project>/prompts/<int:prompt>/", prompts.prompt_detail, name="prompt-detail"),
    path("p/<slug:project>/prompts/<int:prompt>/archive/", prompts.prompt_archive, name="prompt-archive"),
]
