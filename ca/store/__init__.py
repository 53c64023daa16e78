"""Where a CA remembers: the only code that knows SQL.

Lives here: tables, migrations, and `SqlStore`, which implements `ca.records.Store` on SQLite and
PostgreSQL. Rows, connections and the database library's exceptions never leave; callers get the
frozen values of `ca.records`. Does not live here: any decision about what to issue or revoke.
"""

from .sql_store import SqlStore, SqlTransaction, StoreStatus
from .transfer import TransferRefused

__all__ = ["SqlStore", "SqlTransaction", "StoreStatus", "TransferRefused"]
