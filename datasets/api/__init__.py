"""The API of the archive, room by room. Every address says the project, and `project_for` says who may do what in it."""

from ninja import Router

from . import conversations, corpora, criteria, exports, files, people, projects, reports

router = Router()
for room in (
    projects.router,
    corpora.router,
    files.router,
    people.personas,
    people.prompts,
    criteria.router,
    conversations.router,
    exports.router,
    reports.router,
):
    router.add_router("", room)
