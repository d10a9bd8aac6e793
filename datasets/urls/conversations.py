from __future__ import annotations

from django.urls import URLPattern, path

from datasets.verbs import verbs
from datasets.views import bulk, conversations, labels, reviews, versions

ALL = "p/<slug:project>/conversations/"
ONE = ALL + "<int:conversation>/"

urlpatterns: list[URLPattern] = [
    path(ALL, conversations.conversation_list, name="conversation-list"),
    path(ALL + "review/", reviews.review_start, name="review-start"),
    path(ALL + "undo/", reviews.conversation_undo, name="conversation-undo"),
    path(ALL + "bulk/", verbs(get=bulk.bulk_new, post=bulk.bulk_start), name="bulk-new"),
    path(ALL + "bulk/<int:action>/", bulk.bulk_detail, name="bulk-detail"),
    path(ALL + "bulk/<int:action>/undo/", bulk.bulk_undo, name="bulk-undo"),
    path(ALL + "labels/", labels.label_list, name="label-list"),
    path(ALL + "labels/<int:label>/rename/", labels.label_rename, name="label-rename"),
    path(ALL + "labels/<int:label>/delete/", labels.label_delete, name="label-delete"),
    path(ONE, conversations.conversation_detail, name="conversation-detail"),
    path(ONE + "versions/", versions.conversation_versions, name="conversation-versions"),
    path(ONE + "trace/", conversations.conversation_trace, name="conversation-trace"),
    path(ONE + "review/", reviews.conversation_review, name="conversation-review"),
    path(ONE + "labels/", reviews.conversation_label, name="conversation-label"),
    path(ONE + "labels/<int:label>/remove/", reviews.conversation_unlabel, name="conversation-unlabel"),
    path(ONE + "notes/", reviews.conversation_note, name="conversation-note"),
    path(ONE + "notes/<int:note>/delete/", reviews.conversation_note_delete, name="conversation-note-delete"),
]
