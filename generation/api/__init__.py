"""The API of the press, room by room."""

from ninja import Router

from . import endpoints, improvements, recipes, runs

router = Router()
for room in (endpoints.router, improvements.router, recipes.router, runs.router):
    router.add_router("", room)
