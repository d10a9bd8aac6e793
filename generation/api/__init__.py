"""The API of the press, room by room."""

from ninja import Router

from . import endpoints, improvements, personas, recipes, runs

router = Router()
for room in (endpoints.router, improvements.router, personas.router, recipes.router, runs.router):
    router.add_router("", room)
