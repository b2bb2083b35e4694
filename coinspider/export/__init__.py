"""Items and rows in other formats: feeds, spreadsheets, tables on a terminal."""
