"""The index of a version's embeddings, for similar films.

Built after its run, not beside it: inserting a film into the graph costs about as much as writing the rest of its
row, and more the more films there are.
"""

from __future__ import annotations

import structlog
from django.db import connection

from predictor.models import ModelVersion
from predictor.registry import partition_of

log = structlog.get_logger(__name__)

# Below this many films, comparing with every one of them takes a few milliseconds.
FEWEST = 5000


def index_embeddings(version: ModelVersion) -> bool:
    """Build the version's index of embeddings (cosine) where it is worth it; True when it is there."""
    table = partition_of(version)
    name = f"{table}_embedding"
    with connection.cursor() as cursor:
        cursor.execute("SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(%s)", [name])
        found = cursor.fetchone()
        if found and found[0]:
            return True
        if version.predictions.count() < FEWEST:
            return False
        if found:  # an earlier build was killed half way
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        cursor.execute(
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} USING hnsw (embedding halfvec_cosine_ops)"
        )
    log.info("embeddings indexed", version=version.pk)
    return True
