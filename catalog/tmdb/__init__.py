"""Films from TMDB: a typed client on top of tmdbv3api, imports in chunks of the work ledger, and keeping in sync.

`client` is the one place that talks to TMDB's API, `images` to its image host, `exports` to its daily files; `rate`
holds all workers of all machines to one rate. `asking` says what an import may be asked for, `listing` turns that into
ids, `fetching` ids into films, `syncing` keeps what was fetched up to date, and `runs` is what doors call.
"""
