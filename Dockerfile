# The bot in a container: packages exactly as pinned, code owned by root, process without rights.
# What goes in is listed in .dockerignore; data/ and logs/ are volumes (see compose.yaml).

FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt /tmp/requirements.txt
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /tmp/requirements.txt

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /app --shell /usr/sbin/nologin bot \
    && install -d -o bot -g bot /app/data /app/logs
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
RUN python -m compileall -q .
USER bot
VOLUME ["/app/data", "/app/logs"]
STOPSIGNAL SIGTERM
# The shell-less form: the bot is process 1 and hears the stop signal itself.
ENTRYPOINT ["python", "main.py"]
