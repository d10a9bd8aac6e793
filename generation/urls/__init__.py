"""The pages of the press, room by room."""

from . import endpoints, personas, runs

app_name = "generation"
urlpatterns = [*endpoints.urlpatterns, *personas.urlpatterns, *runs.urlpatterns]
