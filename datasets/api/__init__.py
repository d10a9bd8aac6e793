"""The API of the archive, room by room. Every address says the project, and `project_for` says who may do what in it."""

from ninja import Router

from . import (
    adopted,
    bulk,
    conversations,
    corpora,
    criteria,
    exports,
    files,
    imports,
    members,
    people,
    personas,
    projects,
    reports,
    tools,
)

router = Router()
for room in (
    projects.router,
    members.router,
    corpora.router,
    adopted.router,
    files.router,
    personas.router,
    people.prompts,
    tools.router,
    criteria.router,
    conversations.router,
    bulk.router,
    exports.router,
    imports.router,
    reports.router,
):
    router.add_router("", room)
