"""Stored forms of the datetime family and its time zones."""

import re
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any

from nbflow.codecs._text import Node
from nbflow.codecs._walk import (
    FINDERS,
    Encoder,
    Missing,
    Reader,
    Refusal,
    Writer,
    damaged,
    decodes,
    encodes,
    int_of,
    list_of,
    text_of,
)

_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,3}")
_MICROSECOND = timedelta(microseconds=1)


@encodes(datetime)
def _write_datetime(writer: Writer, value: datetime) -> Node:
    writer.tagged = True
    naive = value.replace(tzinfo=None, fold=0)
    return _stamp(writer, "$datetime", naive.isoformat(), value)


@encodes(time)
def _write_time(writer: Writer, value: time) -> Node:
    writer.tagged = True
    naive = value.replace(tzinfo=None, fold=0)
    return _stamp(writer, "$time", naive.isoformat(), value)


def _stamp(writer: Writer, tag: str, text: str, value: datetime | time) -> Node:
    node: dict[str, Node] = {tag: text}
    if value.tzinfo is not None:
        try:
            node["tz"] = writer.node(value.tzinfo)
        except Refusal as refusal:
            refusal.inside(value, ".tzinfo")
            raise
    if value.fold:
        node["fold"] = 1
    return node


@decodes("$datetime")
def _read_datetime(reader: Reader, node: Node) -> datetime:
    text = text_of(node["$datetime"])
    naive = datetime.fromisoformat(text)
    if naive.tzinfo is not None:
        damaged("a date has its time zone in the wrong place")
    return naive.replace(tzinfo=_zone(reader, node, "datetime", text), fold=_fold(node))


@decodes("$time")
def _read_time(reader: Reader, node: Node) -> time:
    text = text_of(node["$time"])
    naive = time.fromisoformat(text)
    return naive.replace(tzinfo=_zone(reader, node, "time", text), fold=_fold(node))


def _fold(node: Node) -> int:
    fold = int_of(node.get("fold", 0))
    if fold not in (0, 1):
        damaged("a time has an unknown fold")
    return fold


def _zone(reader: Reader, node: Node, kind: str, text: str) -> tzinfo | None:
    if "tz" not in node:
        return None
    zone: Any = reader.read(node["tz"])
    if isinstance(zone, tzinfo):
        return zone
    raise Missing(f"datetime.{kind}", (text, zone))


@encodes(date)
def _write_date(writer: Writer, value: date) -> Node:
    writer.tagged = True
    return {"$date": value.isoformat()}


@decodes("$date")
def _read_date(reader: Reader, node: Node) -> date:
    return date.fromisoformat(text_of(node["$date"]))


@encodes(timedelta)
def _write_timedelta(writer: Writer, value: timedelta) -> Node:
    writer.tagged = True
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


@decodes("$timedelta")
def _read_timedelta(reader: Reader, node: Node) -> timedelta:
    days, seconds, microseconds = (int_of(n) for n in list_of(node["$timedelta"]))
    return timedelta(days, seconds, microseconds)


@encodes(timezone)
def _write_timezone(writer: Writer, value: timezone) -> Node:
    writer.tagged = True
    if value is UTC:
        return {"$timezone": None}
    offset = value.utcoffset(None) // _MICROSECOND
    name = value.tzname(None)
    if name == timezone(value.utcoffset(None)).tzname(None):
        return {"$timezone": offset}
    return {"$timezone": offset, "name": writer.node(name)}


@decodes("$timezone")
def _read_timezone(reader: Reader, node: Node) -> timezone:
    if node["$timezone"] is None:
        return UTC
    offset = timedelta(microseconds=int_of(node["$timezone"]))
    if "name" in node:
        return timezone(offset, text_of(reader.read(node["name"])))
    return timezone(offset)


# Zones: their module reads how Python was built, 5 ms and a megabyte that most do
# without. A value of it can only be there if somebody has imported it.


def is_zone(kind: type) -> bool:
    """Whether a class is `zoneinfo.ZoneInfo`."""
    zoneinfo = sys.modules.get("zoneinfo")
    return zoneinfo is not None and kind is zoneinfo.ZoneInfo


def _find_zone(kind: type) -> Encoder | None:
    return _write_zone if is_zone(kind) else None


FINDERS.append(_find_zone)


def _write_zone(writer: Writer, value: Any) -> Node:
    writer.tagged = True
    if value.key is None or not _ZONE.fullmatch(value.key):
        raise Refusal("is a time zone without a name in the zone database", value)
    return {"$zone": value.key}


@decodes("$zone")
def _read_zone(reader: Reader, node: Node) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    key = text_of(node["$zone"])
    if not _ZONE.fullmatch(key):
        damaged("a time zone has an impossible name")
    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise Missing("zoneinfo.ZoneInfo", key) from None


# pytz, which pandas before 3 makes its time zones of


def _find(kind: type) -> Encoder | None:
    pytz = sys.modules.get("pytz")
    if pytz is None or not issubclass(kind, tzinfo):
        return None
    # A class for each zone, all named after the module that makes them.
    own = kind.__module__ == "pytz" or kind.__module__.startswith("pytz.")
    return _write_pytz if own else None


FINDERS.append(_find)


def _write_pytz(writer: Writer, value: Any) -> Node:
    writer.tagged = True
    made_by, facts = value.__reduce__()
    if made_by.__name__ not in _PYTZ:
        raise Refusal(f"is a time zone {type(value).__name__} of pytz", value)
    # A zone has a variant for each of its offsets: they belong to the value.
    return {"$pytz": made_by.__name__, "facts": list(facts)}


_PYTZ = frozenset({"_p", "_UTC", "FixedOffset"})


@decodes("$pytz")
def _read_pytz(reader: Reader, node: Node) -> object:
    kind = text_of(node["$pytz"])
    facts = list_of(node["facts"])
    if kind not in _PYTZ or not all(type(fact) in (int, str) for fact in facts):
        damaged("a time zone of pytz is of an unknown kind")
    if kind == "_p" and not _ZONE.fullmatch(text_of(facts[0])):
        damaged("a time zone has an impossible name")
    pytz: Any = sys.modules.get("pytz")
    if pytz is None:
        raise Missing("pytz", (kind, *facts))
    try:
        return getattr(pytz, kind)(*facts)
    except pytz.UnknownTimeZoneError:
        raise Missing("pytz", (kind, *facts)) from None
