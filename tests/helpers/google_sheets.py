"""A stand-in for those parts of Google's Sheets API that a feed needs, as they are documented.

https://developers.google.com/workspace/sheets/api/reference/rest
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.helpers.http_server import Handler, Server, running

KEY, TOKEN = "1AbC-Sheet_ID", "the-token"
_RANGE = re.compile(r"'?(.+?)'?!([A-Z]+)?(\d+)?(?::([A-Z]+)?(\d+)?)?")


class Sheet:
    """Cells by row, from 0; a missing cell is ``None``."""

    def __init__(self, sheet_id: int, title: str, rows: int = 1000, columns: int = 26):
        self.id, self.title, self.frozen = sheet_id, title, 0
        self.cells: list[list[Any]] = [[None] * columns for _ in range(rows)]

    def properties(self) -> dict[str, Any]:
        grid = {"rowCount": len(self.cells), "columnCount": len(self.cells[0])}
        if self.frozen:
            grid["frozenRowCount"] = self.frozen
        return {"sheetId": self.id, "title": self.title, "index": self.id, "gridProperties": grid}

    def resize(self, rows: int, columns: int) -> None:
        self.cells = [row[:columns] + [None] * (columns - len(row)) for row in self.cells[:rows]]
        self.cells += [[None] * columns for _ in range(rows - len(self.cells))]

    @property
    def rows(self) -> list[list[Any]]:
        """The rows that are not empty."""
        return [row for row in self.cells if any(cell not in (None, "") for cell in row)]


class GoogleSheets(Server):
    """The next ``refusals`` requests get the status 429; ``shared`` is whether others may write."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.sheets = {"Sheet1": Sheet(0, "Sheet1")}
        self.refusals, self.shared, self.requests = 0, True, 0

    def write_key(self, path: Path) -> Path:
        """Write the file of a service account's key, for which this server gives tokens."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )  # fmt: skip
        account = {
            "type": "service_account",
            "client_email": "me@example.iam.gserviceaccount.com",
            "private_key": pem.decode(),
            "token_uri": f"{self.url}/token",
        }
        path.write_text(json.dumps(account))
        return path


class _Handler(Handler):
    server: GoogleSheets

    def do_GET(self) -> None:
        self._answer(None)

    def do_PUT(self) -> None:
        self._answer(self._body())

    def do_POST(self) -> None:
        if self.path == "/token":
            form = parse_qs(self._body_text())
            assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
            assert form["assertion"][0].count(".") == 2
            self._send(200, {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        else:
            self._answer(self._body())

    def _answer(self, body: Any) -> None:
        self.server.requests += 1
        status, message = self._refusal()
        if status:
            self._send(status, {"error": {"code": status, "message": message, "status": "X"}})
            return
        path = unquote(urlsplit(self.path).path).removeprefix(f"/v4/spreadsheets/{KEY}")
        try:
            self._send(200, self._do(path, body))
        except ValueError as error:
            self._send(400, {"error": {"code": 400, "message": str(error), "status": "X"}})

    def _refusal(self) -> tuple[int, str]:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, "Request had invalid authentication credentials."
        if not self.path.startswith(f"/v4/spreadsheets/{KEY}"):
            return 404, "Requested entity was not found."
        if not self.server.shared:
            return 403, "The caller does not have permission"
        if self.server.refusals:
            self.server.refusals -= 1
            return 429, "Quota exceeded for quota metric 'Write requests'"
        return 0, ""

    def _do(self, path: str, body: Any) -> Any:
        sheets = self.server.sheets
        if path == "":
            found = [{"properties": sheet.properties()} for sheet in sheets.values()]
            return {"spreadsheetId": KEY, "properties": {"title": "A book"}, "sheets": found}
        if path == ":batchUpdate":
            return {"replies": [self._request(request) for request in body["requests"]]}
        query = parse_qs(urlsplit(self.path).query)
        match = _RANGE.fullmatch(path.removeprefix("/values/"))
        assert match, path
        sheet = sheets[match[1].replace("''", "'")]
        if body is None:
            # A1:1 is the first row, A1:A the first column.
            is_column = match[4] is not None
            [dimension] = query.get("majorDimension", ["ROWS"])
            assert (dimension == "COLUMNS") == is_column
            cells = [row[0] for row in sheet.cells] if is_column else sheet.cells[0]
            return {"range": match[0], "majorDimension": dimension, "values": [_text(cells)]}
        assert query["valueInputOption"] == ["RAW"]
        _put(sheet, int(match[3] or 1) - 1, body["values"])
        return {"updatedRows": len(body["values"])}

    def _request(self, request: dict[str, Any]) -> Any:
        [(kind, arguments)] = request.items()
        properties = arguments["properties"]
        grid = properties["gridProperties"]
        if kind == "addSheet":
            sheet = Sheet(len(self.server.sheets), properties["title"])
            sheet.resize(grid["rowCount"], grid["columnCount"])
            self.server.sheets[sheet.title] = sheet
            return {kind: {"properties": sheet.properties()}}
        assert kind == "updateSheetProperties", kind
        [sheet] = [s for s in self.server.sheets.values() if s.id == properties["sheetId"]]
        rows = grid.get("rowCount", len(sheet.cells))
        sheet.frozen = grid.get("frozenRowCount", sheet.frozen)
        if rows <= sheet.frozen:
            raise ValueError("You can't freeze all visible rows on the sheet.")
        sheet.resize(rows, grid.get("columnCount", len(sheet.cells[0])))
        return {}

    def _body_text(self) -> str:
        return self.rfile.read(int(self.headers["Content-Length"])).decode()

    def _body(self) -> Any:
        return json.loads(self._body_text())

    def _send(self, status: int, body: Any) -> None:
        self.send(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def _text(cells: list[Any]) -> list[str]:
    """The cells as text, without the empty ones at the end."""
    found = ["" if cell is None else str(cell) for cell in cells]
    while found and not found[-1]:
        found.pop()
    return found


def _put(sheet: Sheet, first: int, values: list[list[Any]]) -> None:
    if first + len(values) > len(sheet.cells) or len(values[0]) > len(sheet.cells[0]):
        raise ValueError("Range exceeds grid limits.")
    for number, row in enumerate(values, first):
        for column, value in enumerate(row):
            assert not isinstance(value, str) or len(value) <= 50_000
            if value is not None:  # null leaves the cell as it is
                sheet.cells[number][column] = value


@contextmanager
def start_google_sheets() -> Iterator[GoogleSheets]:
    with running(GoogleSheets()) as server:
        yield server
