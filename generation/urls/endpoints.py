from __future__ import annotations

from django.urls import path

from generation.views import embeddings, endpoint_keys, endpoints

KEYS = "p/<slug:project>/endpoints/<int:endpoint>/keys/"

urlpatterns = [
    path("p/<slug:project>/corpora/<int:corpus>/embedding/", embeddings.corpus_embedding, name="corpus-embedding"),
    path(
        "p/<slug:project>/corpora/<int:corpus>/embedding/state/",
        embeddings.corpus_embedding_state,
        name="corpus-embedding-state",
    ),
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
    path(f"{KEYS}add/", endpoint_keys.key_add, name="endpoint-key-add"),
    path(f"{KEYS}<int:key>/", endpoint_keys.key_save, name="endpoint-key-save"),
    path(f"{KEYS}<int:key>/switch/", endpoint_keys.key_switch, name="endpoint-key-switch"),
    path(f"{KEYS}<int:key>/remove/", endpoint_keys.key_remove, name="endpoint-key-remove"),
]
