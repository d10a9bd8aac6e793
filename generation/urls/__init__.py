"""The pages of the press, room by room."""

from . import endpoints, runs

app_name = "generation"
urlpatterns = [*endpoints.urlpatterns, *runs.urlpatterns]
