from django.apps import AppConfig


class SwitchboardConfig(AppConfig):
    name = "afterimage_web"

    def ready(self) -> None:
        # Tasks are sent through the application that the settings describe, from whichever process sends them.
        from afterimage_web import celery  # noqa: F401
