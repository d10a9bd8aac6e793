from __future__ import annotations

from django.urls import URLPattern, path

from datasets.verbs import verbs
from datasets.views import adopting, corpora, corpus_files, documents

CORPORA = "p/<slug:project>/corpora/"
CORPUS = CORPORA + "<int:corpus>/"
FILE = CORPUS + "files/<int:file>/"

urlpatterns: list[URLPattern] = [
    path(CORPORA, corpora.corpus_list, name="corpus-list"),
    path(CORPORA + "new/", verbs(get=corpora.corpus_new, post=corpora.corpus_create), name="corpus-new"),
    path(CORPORA + "adopt/", verbs(get=adopting.adopt_new, post=adopting.adopt_create), name="corpus-adopt"),
    path(CORPUS, corpora.corpus_detail, name="corpus-detail"),
    path(CORPUS + "edit/", verbs(get=corpora.corpus_edit, post=corpora.corpus_save), name="corpus-edit"),
    path(CORPUS + "collection/", verbs(get=adopting.reading_edit, post=adopting.reading_save), name="corpus-reading"),
    path(CORPUS + "delete/", verbs(get=corpora.corpus_confirm, post=corpora.corpus_delete), name="corpus-delete"),
    path(CORPUS + "reread/", corpora.corpus_reread, name="corpus-reread"),
    path(CORPUS + "upload/", corpus_files.corpus_upload, name="corpus-upload"),
    path(CORPUS + "paste/", verbs(get=corpus_files.corpus_paste, post=corpus_files.corpus_add), name="corpus-paste"),
    path(FILE, corpus_files.corpus_file, name="corpus-file"),
    path(FILE + "original/", corpus_files.corpus_file_original, name="corpus-file-original"),
    path(FILE + "reread/", corpus_files.corpus_file_reread, name="corpus-file-reread"),
    path(FILE + "delete/", corpus_files.corpus_file_delete, name="corpus-file-delete"),
    path(CORPUS + "search/", documents.corpus_search, name="corpus-search"),
    path(CORPUS + "documents/", documents.document_list, name="document-list"),
    path(CORPUS + "documents/<int:document>/", documents.document_detail, name="document-detail"),
]
