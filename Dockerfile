# One image for the web server, the workers, the clock and the migrations: docker-compose.yml says which is which.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# Files and keys live in /data. A named volume takes over the folder's owner; a folder of the host must belong to 10001.
RUN useradd --uid 10001 --create-home afterimage \
    && install --directory --owner afterimage --mode 0700 /data

WORKDIR /app
COPY requirements.txt ./
RUN pip install --require-hashes --requirement requirements.txt

COPY . .
RUN AFTERIMAGE_DATA=/tmp/build python manage.py collectstatic --noinput \
    && rm -rf /tmp/build /tmp/afterimage-* \
    && python -m compileall -q afterimage_web datasets generation

USER afterimage
ENV AFTERIMAGE_DATA=/data
VOLUME /data
EXPOSE 8000

HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]

CMD ["granian", "--interface", "wsgi", "afterimage_web.wsgi:application", "--no-ws", "--host", "0.0.0.0", "--port", "8000", \
     "--workers", "2", "--blocking-threads", "8", "--workers-kill-timeout", "10"]
