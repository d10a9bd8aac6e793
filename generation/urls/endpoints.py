from __future__ import annotations

from django.urls import path

from generation.views import embeddings, endpoints

urlpatterns = [
    path("p/<slug:project>/corpora/<int:corpus>/embedding/", embeddings.corpus_embedding, name="corpus-embedding"),
    path("p/<slug:project>/endpoints/", endpoints.endpoint_list, name="endpoint-list"),
    path("p/<slug:project>/endpoints/new/", endpoints.endpoint_new, name="endpoint-new"),
    path("p/<slug:project>/endpoints/<int:endpoint>/", endpoints.endpoint_detail, name="endpoint-detail"),
    path("p/<slug:project>/endpoints/<int:endpoint>/test/", endpoints.endpoint_test, name="endpoint-test"),
    path(
        "p/<slug:project>/endpoints/<int:endpoint>/forget-key/",
        endpoints.endpoint_forget_key,
        name="endpoint-forget-key",
    ),
    path("p/<slug:project>/endpoints/<int:endpoint>/delete/", endpoints.endpoint_delete, name="endpoint-delete"),
]
