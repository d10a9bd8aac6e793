"""The API of the press, room by room."""

from ninja import Router

from . import embeddings, endpoints, improvements, personas, recipes, runs

router = Router()
for room in (embeddings.router, endpoints.router, improvements.router, personas.router, recipes.router, runs.router):
    router.add_router("", room)
