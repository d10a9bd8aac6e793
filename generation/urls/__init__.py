"""The pages of the press, room by room."""

from . import endpoints, improvements, personas, runs

app_name = "generation"
urlpatterns = [*endpoints.urlpatterns, *improvements.urlpatterns, *personas.urlpatterns, *runs.urlpatterns]
