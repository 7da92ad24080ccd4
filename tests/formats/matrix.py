"""Every format for every result shape, our server against the real ClickHouse engine, byte for byte.

    matrix.py PORT SHARE

Output: the same query in the same format. Input: what ClickHouse wrote is read by both with `format(…)` and
must give the same rows or the same error code. Of all pairs of shape and format every SHARE-th is compared
(1 = all). Ends with 1 and prints the differences if there are any.
"""

import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

from chdb import session

PORT, SHARE = sys.argv[1], int(sys.argv[2])
HERE = os.path.dirname(os.path.abspath(__file__))
JSON = ["", "Strings", "Compact", "CompactStrings", "Columns", "CompactColumns", "ColumnsWithMetadata",
        "EachRow", "StringsEachRow", "CompactEachRow", "CompactStringsEachRow", "ObjectEachRow",
        "CompactEachRowWithNames", "CompactEachRowWithNamesAndTypes", "CompactStringsEachRowWithNames",
        "CompactStringsEachRowWithNamesAndTypes"]
PROGRESS = ["JSONEachRowWithProgress", "JSONStringsEachRowWithProgress", "JSONCompactEachRowWithProgress",
            "JSONCompactStringsEachRowWithProgress"]
BOTH_WAYS = ["JSON" + name for name in JSON if name not in ("Strings", "CompactStrings")] + [
    "CSV", "CSVWithNames", "CSVWithNamesAndTypes", "CustomSeparated", "CustomSeparatedWithNames",
    "CustomSeparatedWithNamesAndTypes", "MsgPack", "Native", "RowBinary", "RowBinaryWithNames",
    "RowBinaryWithNamesAndTypes", "BSONEachRow", "TSKV", "TabSeparated", "TabSeparatedRaw", "TabSeparatedWithNames",
    "TabSeparatedWithNamesAndTypes", "Values"]
OUTPUT = BOTH_WAYS + PROGRESS + [
    "JSONStrings", "JSONCompactStrings", "LineAsString", "Markdown", "Pretty", "PrettyCompact",
    "PrettyCompactMonoBlock", "PrettyCompactNoEscapes", "PrettyJSONEachRow", "PrettyMonoBlock",
    "PrettyNoEscapes", "PrettySpace", "Npy", "GeoJSON", "PrettySpaceNoEscapes", "SQLInsert", "TabSeparatedRawWithNames",
    "TabSeparatedRawWithNamesAndTypes", "Vertical", "XML"]
oracle = session.Session()
oracle.query("SET output_format_write_statistics = 0, output_format_pretty_color = 0, session_timezone = 'UTC'")


def clickhouse(sql, form):
    try:
        return oracle.query(sql, form).bytes()
    except Exception as error:
        return code(str(error))


def pumphouse(sql, form):
    settings = {"default_format": form, "output_format_write_statistics": "0",
                "output_format_pretty_color": "0", "session_timezone": "UTC",
                "http_write_exception_in_output_format": "0"}
    address = f"http://127.0.0.1:{PORT}/?{urllib.parse.urlencode(settings)}"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data=sql.encode()), timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        return code(error.read().decode())


def code(text):
    found = re.search(r"Code: (\d+)", text)
    return f"error {found.group(1) if found else text[:200]}"


def comparable(data, form):
    """Without what says how the query ran rather than what it gave."""
    if isinstance(data, str):
        return data
    if form in PROGRESS:
        data = b"\n".join(line for line in data.split(b"\n") if not line.startswith(b'{"progress"'))
    data = re.sub(rb',\n\n\t"rows_before_limit_at_least": \d+', b"", data)
    data = re.sub(rb'\{"rows_before_limit_at_least":\d+\}\n?', b"", data)
    return re.sub(rb"\t<rows_before_limit_at_least>\d+</rows_before_limit_at_least>\n", b"", data)


def short(data):
    return repr(data[:600]) if len(data) <= 600 else f"{data[:600]!r}… ({len(data)} in all)"


def literal(data):
    return "'" + "".join(f"\\x{byte:02X}" for byte in data) + "'"


def readable_structure(sql):
    """Names and types of the query's columns as the table function `format` takes them, or None where it does not."""
    described = clickhouse(f"DESCRIBE ({sql})", "JSONCompact")
    if isinstance(described, str):
        return None
    columns = [row[:2] for row in json.loads(described)["data"]]
    structure = ", ".join(f"`{name}` {kind}" for name, kind in columns)
    # Names and types that no text holds unquoted, or that no column has.
    if any(set(name) & set("`\\\t") or "Nothing" in kind or kind == "Tuple()" for name, kind in columns):
        return None
    return structure.replace("\\", "\\\\").replace("'", "\\'")


def readings(form, structure, data):
    """Both engines' rows of `data`."""
    query = f"SELECT * FROM format({form}, '{structure}', {literal(data)})"
    return pumphouse(query, "TabSeparated"), clickhouse(query, "TabSeparated")


# Answers that ClickHouse may change when asked again before the comparison means nothing.
UNSTEADY_MAX = 3
# What differs, by format and part of the shape, with the reason.
LISTED = {
    ("XML", "SELECT 1, 'a', 1 + 1"): "ClickHouse writes an element <-1>, which no reader of XML takes",
    ("reading CustomSeparatedWithNamesAndTypes", "arrayJoin(['a', 'bcd', ''])"): "ClickHouse loses an empty last row",
    ("reading CustomSeparated", "arrayJoin(['a', 'bcd', ''])"): "the same",
    ("reading Values", "date_time_output_format = 'unix_timestamp'"): "what is no literal has its error as an expression",
    ("reading Native", "encode_types_in_binary_format = 1"): "codes of types read as names: each has its own error",
    ("reading RowBinaryWithNamesAndTypes", "encode_types_in_binary_format = 1"): "the same",
}


def main():
    with open(os.path.join(HERE, "shapes.sql")) as file:
        shapes = [line.strip() for line in file if line.strip() and not line.startswith("--")]
    compared, differing, unsteady = 0, [], 0

    def compare(what, sql, ours, theirs):
        nonlocal compared
        compared += 1
        listed = [key for key in LISTED if key[0] == what and key[1] in sql]
        if listed and ours == theirs:
            differing.append(f"{what}: {sql[:300]}\n   is listed and does not differ any more")
        elif listed:
            return
        elif ours != theirs:
            differing.append(f"{what}: {sql[:300]}\n   ClickHouse: {short(theirs)}\n   Pumphouse:  {short(ours)}")

    def twice(what, sql, ask):
        """What `ask` brings of both engines. The library hands over foreign memory now and then (a run of zero bytes
        in place of a table): where the two differ both are asked again, and what they say then is compared."""
        nonlocal unsteady
        ours, theirs = ask()
        if ours == theirs:
            return ours, theirs
        again = ask()
        if again[1] != theirs:
            unsteady += 1
            print(f"ClickHouse gave two answers: {what}: {sql[:300]}\n   {short(theirs)}\n   {short(again[1])}",
                  file=sys.stderr)
        return again if again[0] == ours else (ours, again[1])

    for number, sql in enumerate(shapes):
        for place, form in enumerate(OUTPUT):
            if (number + place) % SHARE or (form.startswith("Pretty") and "unhex" in sql):
                continue  # Tables with bytes that are no UTF-8 have other widths.
            theirs = None

            def written():
                nonlocal theirs
                theirs = clickhouse(sql, form)
                return comparable(pumphouse(sql, form), form), comparable(theirs, form)

            compare(form, sql, *twice(form, sql, written))
            # Raw text that is no number has another code (27) here; enums without a zero have no default there.
            readable = form != "TabSeparatedRaw" and not (form.startswith("CSVWithNames") and "Enum8" in sql)
            if readable and form in BOTH_WAYS and not isinstance(theirs, str) and len(theirs) < 100_000:
                structure = readable_structure(sql)
                if structure is not None:
                    read = lambda: readings(form, structure, theirs)
                    compare(f"reading {form}", sql, *twice(f"reading {form}", sql, read))
    print(f"{compared} comparisons over {len(shapes)} shapes and {len(OUTPUT)} formats, {len(differing)} differ")
    for difference in differing:
        print(difference)
    if unsteady > UNSTEADY_MAX:
        print(f"ClickHouse changed {unsteady} answers: no oracle")
    sys.exit(1 if differing or unsteady > UNSTEADY_MAX else 0)


main()
