"""The API of the press, room by room."""

from ninja import Router

from . import embeddings, endpoints, improvements, monitoring, pairs, personas, recipes, runs, trials

router = Router()
# Those that add to the addresses of runs before them, whose actions have any name.
for room in (embeddings, endpoints, improvements, monitoring, pairs, personas, recipes, trials, runs):
    router.add_router("", room.router)
