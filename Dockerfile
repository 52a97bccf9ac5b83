# The image of every process: `darkroom api`, `darkroom worker`, `darkroom events`.
FROM python:3.11-slim AS build
COPY lock/uv.txt lock/runtime.txt /lock/
RUN pip install --no-cache-dir --require-hashes -r /lock/uv.txt \
 && uv venv /venv \
 && uv pip sync --python /venv/bin/python --require-hashes --compile-bytecode /lock/runtime.txt
COPY api /app/api
COPY jobs /app/jobs

FROM python:3.11-slim
RUN useradd --system --uid 10001 darkroom
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 DARKROOM_LOG_FORMAT=json
USER darkroom
WORKDIR /app
EXPOSE 8000
ENTRYPOINT ["python", "-m", "api.cli"]
CMD ["api", "--host", "0.0.0.0"]
