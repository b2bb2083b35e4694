"""The table ``alert``: the last alert of each schedule, for all nodes."""

from coinspider.daemon.database import connection

_CREATE = """
CREATE TABLE IF NOT EXISTS alert (
    subject text PRIMARY KEY, status text NOT NULL, changed_at timestamptz NOT NULL DEFAULT now()
)
"""
_EXISTS = "SELECT to_regclass('alert') IS NOT NULL"
_READ = "SELECT subject, status FROM alert"
_BEGIN = "INSERT INTO alert (subject, status) VALUES (%s, %s) ON CONFLICT DO NOTHING"
# Of the nodes that see the same change one tells it.
_CHANGE = "UPDATE alert SET status = %s, changed_at = now() WHERE subject = %s AND status = %s"


class AlertStates:
    """Each method is for threads, and raises what the database does."""

    def read(self) -> dict[str, str]:
        """What was told last, by subject."""
        with connection() as connected:
            row = connected.execute(_EXISTS).fetchone()
            if not (row and row[0]):
                connected.execute(_CREATE)
            return dict(connected.execute(_READ).fetchall())

    def change(self, subject: str, before: str, after: str) -> bool:
        """``False`` where another process has done so."""
        with connection() as connected:
            connected.execute(_BEGIN, [subject, before])
            return connected.execute(_CHANGE, [after, subject, before]).rowcount == 1
