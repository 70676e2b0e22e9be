"""Turns `ReportData` into one HTML file that asks nobody for anything and runs no code but its own.

Three fences around hostile text (a transcript, a page title, a uri may hold anything): jinja2 escapes every value, a
Content-Security-Policy admits only the one script and the one stylesheet whose hashes it names, and no value is ever
made a link.
"""

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spelangy.report.data import FunnelStage, ListenChunk, LossCurve, ReportData, ScoreRow, ViewLengths
from spelangy.report.figures import NUM_SERIES, dash, length_histogram, loss_panel, score_forest

ABSENT = "—"
"""Stands where a number was not measured."""

_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_MIN_VOTE_RATIOS = (0.995, 0.6, 0.4)
_DROP_KINDS = ("dropped", "quarantined", "failed")


@dataclass(frozen=True, kw_only=True)
class _Key:
    """One legend entry: palette index, dash index, label."""

    colour: int
    dash: int
    label: str


@dataclass(frozen=True, kw_only=True)
class _Panel:
    caption: str
    svg: Markup
    keys: tuple[_Key, ...]


@dataclass(frozen=True, kw_only=True)
class _BarPart:
    """A part of a funnel bar; offset and width in percent of what went in."""

    kind: str
    offset: str
    width: str


def render(data: ReportData) -> str:
    """One self-contained HTML page; equal data give equal text.

    Args:
        data: What to show. Empty parts are shown as empty, with the reason.

    Returns:
        The whole document. Encode it as UTF-8.
    """
    package = files("spelangy.report")
    stylesheet = package.joinpath("report.css").read_text(encoding="utf-8")
    script = package.joinpath("report.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html")
        .render(
            data=data,
            policy=content_security_policy(script=script, stylesheet=stylesheet),
            stylesheet=Markup(stylesheet),
            script=Markup(script),
            length_panels=_length_panels(data.chunk_seconds),
            loss_panels=_loss_panels(data.losses),
            forest=_forest(data.scores),
        )
    )


def content_security_policy(*, script: str, stylesheet: str) -> str:
    """A policy that allows exactly these two inline texts, data URIs for sound and images, and nothing else.

    Source: W3C Content Security Policy Level 3, hash sources.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash_source(script)}'",
            f"style-src '{_hash_source(stylesheet)}'",
            "img-src data:",
            "media-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash_source(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("spelangy.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_readable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "bar_parts": bar_parts,
        "clock": clock,
        "count": count,
        "data_uri": data_uri,
        "duration": duration,
        "hours": hours,
        "interval": interval,
        "measure": measure,
        "p_value": p_value,
        "percent": percent,
        "vote_level": vote_level,
    }
    return environment


def _readable(value: object) -> object:
    """Text without what HTML or UTF-8 cannot hold, nor marks that reverse the text around them; all else as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _UNREADABLE.sub("\ufffd", value.replace("\r\n", "\n").replace("\r", "\n"))


def count(number: float) -> str:
    """``12,345``; up to two decimals where a tie earned a fraction."""
    return f"{number:,.0f}" if number == round(number) else f"{number:,.2f}".rstrip("0")


def duration(seconds: float | None) -> str:
    """Seconds for people: ``0.42 s``, ``5.2 s``, ``38 s``, ``1.4 min``, ``12 min``, ``4.2 h``, ``1,234 h``."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 59.5:
        decimals = 0 if seconds >= 9.95 or seconds == 0 else 1 if seconds >= 0.995 else 2
        return f"{seconds:.{decimals}f} s"
    if seconds < 59.5 * 60:
        return f"{seconds / 60:.{1 if seconds < 9.95 * 60 else 0}f} min"
    return f"{seconds / 3600:,.{1 if seconds < 99.95 * 3600 else 0}f} h"


def hours(number: float | None) -> str:
    """Hours for people, as `duration` writes them."""
    return duration(None if number is None else number * 3600)


def clock(seconds: float) -> str:
    """A place in a clip: ``1.25 s``."""
    return f"{seconds:.2f} s"


def percent(ratio: float | None) -> str:
    """A ratio in [0, 1] as ``41.7 %``."""
    return ABSENT if ratio is None or not math.isfinite(ratio) else f"{ratio * 100:.1f} %"


def interval(row: ScoreRow) -> str:
    """An accuracy with its interval: ``41.7 % [30.2, 54.1]``."""
    if row.num_items == 0:
        return ABSENT
    return f"{percent(row.accuracy)} [{row.low * 100:.1f}, {row.high * 100:.1f}]"


def measure(number: float | None, decimals: int | None = None) -> str:
    """A measured number: four significant digits, or a fixed number of decimals."""
    if number is None:
        return ABSENT
    if not math.isfinite(number):
        return "not finite"
    return f"{number:.4g}" if decimals is None else f"{number:.{decimals}f}"


def p_value(number: float | None) -> str:
    """A p-value to two significant digits, never a bare zero."""
    if number is None or not math.isfinite(number):
        return ABSENT
    return "< 0.0001" if number < 1e-4 else f"{number:.2g}"


def vote_level(ratio: float) -> int:
    """How strongly a word is shaded: 0 where all systems said it, up to 3 where few did."""
    return sum(not ratio >= minimum for minimum in _MIN_VOTE_RATIOS)


def data_uri(chunk: ListenChunk) -> str:
    """The chunk's audio as a ``data:`` URI."""
    return f"data:{chunk.media_type};base64,{base64.b64encode(chunk.audio).decode()}"


def bar_parts(stage: FunnelStage) -> tuple[_BarPart, ...]:
    """A funnel bar: kept, then what was left out by kind, then what nobody accounted for."""
    counts = [("kept", stage.num_kept)]
    counts += [(kind, sum(drop.count for drop in stage.drops if drop.kind == kind)) for kind in _DROP_KINDS]
    counts.append(("unaccounted", max(0, stage.num_unaccounted)))
    total = max(1, stage.num_in, sum(number for _, number in counts))
    parts, offset = [], 0
    for kind, number in counts:
        if number:
            parts.append(_BarPart(kind=kind, offset=_share(offset, total), width=_share(number, total)))
        offset += number
    return tuple(parts)


def _share(part: int, total: int) -> str:
    return f"{100 * part / total:.3f}%"


def _length_panels(views: Sequence[ViewLengths]) -> tuple[_Panel, ...]:
    """One panel per source that has chunks; a view keeps its colour from panel to panel."""
    colours = {name: index % NUM_SERIES for index, name in enumerate(_in_order(view.view for view in views))}
    panels = []
    for index, source in enumerate(_in_order(view.source for view in views if view.seconds)):
        shown = [view for view in views if view.source == source and view.seconds]
        series = [colours[view.view] for view in shown]
        told = "; ".join(
            f"{view.view} mean {duration(view.mean_s)}, median {duration(view.median_s)}" for view in shown
        )
        svg = length_histogram(
            shown, series=series, name=f"lengths-{index}", alt=_alt(f"Chunk lengths, {source}: {told}")
        )
        labels = [f"{view.view}, median {duration(view.median_s)}" for view in shown]
        keys = tuple(_Key(colour=i, dash=i % 3, label=label) for i, label in zip(series, labels, strict=True))
        panels.append(_Panel(caption=source, svg=Markup(svg), keys=keys))
    return tuple(panels)


def _loss_panels(curves: Sequence[LossCurve]) -> tuple[_Panel, ...]:
    """One panel per modality that has points."""
    panels = []
    for index, modality in enumerate(_in_order(curve.modality for curve in curves if curve.points)):
        shown = [curve for curve in curves if curve.modality == modality and curve.points]
        told = "; ".join(
            f"{curve.name} {measure(curve.start_nats, 2)} → {measure(curve.end_nats, 2)}" for curve in shown
        )
        svg = loss_panel(shown, name=f"loss-{index}", alt=_alt(f"Cross-entropy in nats, {modality}: {told}"))
        keys = tuple(
            _Key(colour=place % NUM_SERIES, dash=dash(curve), label=curve.name) for place, curve in enumerate(shown)
        )
        panels.append(_Panel(caption=modality, svg=Markup(svg), keys=keys))
    return tuple(panels)


def _forest(rows: Sequence[ScoreRow]) -> Markup | None:
    shown = [row for row in rows if row.num_items]
    if not shown:
        return None
    told = "; ".join(f"{row.condition} {interval(row)}, {row.verdict}" for row in shown)
    return Markup(score_forest(shown, name="forest", alt=_alt(f"Accuracy with 95 % intervals: {told}")))


def _alt(text: str) -> str:
    return str(_readable(text))


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
