"""The API of the archive, room by room. Every address says the project, and `project_for` says who may do what in it."""

from ninja import Router

from . import (
    adopted,
    conversations,
    corpora,
    criteria,
    exports,
    files,
    imports,
    people,
    personas,
    projects,
    reports,
    tools,
)

router = Router()
for room in (
    projects.router,
    corpora.router,
    adopted.router,
    files.router,
    personas.router,
    people.prompts,
    tools.router,
    criteria.router,
    conversations.router,
    exports.router,
    imports.router,
    reports.router,
):
    router.add_router("", room)
