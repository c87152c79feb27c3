"""The work ledger: long jobs cut into chunks that are rows of the database, claimed, leased, and never lost."""
