"""The API of this app, room by room."""

from ninja import Router

router = Router()
