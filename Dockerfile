# Two stages: the first has uv and a compiler, the second only what runs.
FROM python:3.11-slim AS build
RUN pip install --no-cache-dir uv
WORKDIR /app
COPY requirements.lock ./
# Hashes are required: what runs is what was tested. The lock holds the CUDA build of torch, which also runs
# on a machine without a GPU; README.md says how to build a smaller image for such a machine.
RUN uv venv /venv && uv pip sync --compile-bytecode --require-hashes --python /venv/bin/python requirements.lock
# Only the article's network reads these; a training of it must not need the network.
RUN /venv/bin/python -m nltk.downloader -d /nltk_data stopwords wordnet omw-1.4

FROM python:3.11-slim
RUN useradd --system --create-home --uid 10001 genresite \
    && mkdir -p /data/media /data/models /data/static \
    && chown -R genresite:genresite /data
COPY --from=build /venv /venv
COPY --from=build /nltk_data /usr/local/share/nltk_data
WORKDIR /app
COPY manage.py pyproject.toml ./
COPY genresite genresite
COPY ledger ledger
COPY catalog catalog
COPY predictor predictor
COPY ml_core ml_core
COPY models models
COPY templates templates
COPY static static
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GENRESITE_VAR=/data \
    MEDIA_ROOT=/data/media \
    MODEL_ROOT=/data/models \
    STATIC_ROOT=/app/staticfiles
RUN GENRESITE_NO_SECRETS=1 python manage.py collectstatic --noinput
USER genresite
VOLUME ["/data"]
EXPOSE 8000
CMD ["gunicorn", "genresite.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "8"]
