"""The API of the press, room by room."""

from ninja import Router

from . import embeddings, endpoints, improvements, monitoring, pairs, personas, recipes, runs

router = Router()
# Monitoring and pairs before runs, whose actions have any name.
for room in (embeddings, endpoints, improvements, monitoring, pairs, personas, recipes, runs):
    router.add_router("", room.router)
