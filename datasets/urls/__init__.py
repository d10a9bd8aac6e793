"""The pages of the archive, room by room."""

from . import conversations, corpora, criteria, exports, imports, people, personas, projects, prompts, reports, tools

app_name = "datasets"
urlpatterns = [
    *projects.urlpatterns,
    *people.urlpatterns,
    *corpora.urlpatterns,
    *personas.urlpatterns,
    *prompts.urlpatterns,
    *tools.urlpatterns,
    *criteria.urlpatterns,
    *imports.urlpatterns,
    *conversations.urlpatterns,
    *exports.urlpatterns,
    *reports.urlpatterns,
]
