# The image of every process: `darkroom api`, which it runs unless told otherwise, `darkroom worker` and
# `darkroom events`. It writes nowhere but to /tmp.
FROM python:3.11-slim-bookworm AS build
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
COPY lock/uv.txt lock/runtime.txt lock/dev.txt /lock/
RUN pip install --no-cache-dir --require-hashes -r /lock/uv.txt \
 && uv venv --python /usr/local/bin/python /venv \
 && uv pip sync --python /venv/bin/python --require-hashes --compile-bytecode /lock/runtime.txt
# The package by itself, so that a change of it leaves the layer above alone; its build backend is locked too.
COPY pyproject.toml README.md LICENSE /src/
COPY api /src/api
COPY jobs /src/jobs
RUN uv build --wheel --build-constraints /lock/dev.txt --require-hashes --out-dir /dist /src \
 && uv pip install --python /venv/bin/python --no-deps --compile-bytecode /dist/*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="darkroom" \
      org.opencontainers.image.description="Image uploads for front ends: presigned targets from GraphQL, bytes straight to object storage, completion pushed over a websocket." \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --no-create-home darkroom
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DARKROOM_LOG_FORMAT=json
USER 10001
EXPOSE 8000
# Of the API. Who runs another command gives another check, as compose.yaml does, or none.
HEALTHCHECK --interval=10s --timeout=8s --start-period=20s \
  CMD ["python", "-c", "import http.client as http; api = http.HTTPConnection('127.0.0.1', 8000, timeout=5); api.request('GET', '/readyz'); exit(api.getresponse().status != 200)"]
ENTRYPOINT ["darkroom"]
CMD ["api", "--host", "0.0.0.0"]
