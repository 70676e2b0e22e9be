"""Figures as SVG that lives inside the page: same input, same bytes; the page's colours, no style attribute.

matplotlib draws, `_inline` makes its file a part of an HTML page: `style` attributes become presentation attributes
(the page's policy refuses the former), the palette's stand-in colours become CSS variables (so dark mode reaches the
figures), ids get the figure's name (two figures on one page must not share one), and the text takes the page's font.
"""

import io
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from statistics import median

from matplotlib import font_manager, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spelangy.report.data import LossCurve, ScoreRow, ViewLengths

NUM_SERIES = 6
"""Colours the page's palette holds; a seventh series starts over."""

_INK, _MUTED, _RULE = "#010101", "#020202", "#030303"
_SERIES = tuple(f"#0a000{index}" for index in range(NUM_SERIES))
_CSS_COLOURS = {_INK: "var(--ink)", _MUTED: "var(--muted)", _RULE: "var(--rule)"} | {
    colour: f"var(--series-{index})" for index, colour in enumerate(_SERIES)
}
_DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", (0, (4, 1.5)), (0, (1, 1)))

_WIDTH_IN = 4.8  # 346 units: about a phone's width, so text keeps its size there
_MAX_BINS = 36
_MAX_LABEL_CHARACTERS = 44
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "spelangy",
    "text.parse_math": False,
    "font.size": 10.5,
    "axes.labelsize": 10,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.7,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "path.simplify_threshold": 0.4,
}


def length_histogram(views: Sequence[ViewLengths], *, series: Sequence[int], name: str, alt: str) -> str:
    """Share of the chunks per length bin, one outline per view on shared bins, a short line at each median.

    Args:
        views: What to compare; a view without chunks draws nothing.
        series: Palette index of each view.
        name: Unique on the page; letters, digits and hyphens.
        alt: What a reader who cannot see the figure should know.
    """

    def draw(axes: Axes) -> None:
        edges = _bin_edges(max((view.longest_s or 0.0 for view in views), default=0.0))
        for index, view in zip(series, views, strict=True):
            if view.seconds:
                _draw_lengths(axes, view, edges, index)
        axes.set(xlabel="chunk length, seconds", ylabel="share of chunks, %", xlim=(0, edges[-1]))
        axes.set_ylim(0, axes.get_ylim()[1] * 1.12)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))

    return _figure(draw, height_in=2.5, name=name, alt=alt)


def _bin_edges(longest_s: float) -> list[float]:
    steps_s = (base * 10.0**power for power in range(-2, 6) for base in (1, 2, 5))
    width_s = next((step_s for step_s in steps_s if longest_s / step_s <= _MAX_BINS), longest_s / _MAX_BINS)
    return [index * width_s for index in range(math.floor(longest_s / width_s) + 2)]


def _draw_lengths(axes: Axes, view: ViewLengths, edges: list[float], index: int) -> None:
    weights = [100 / len(view.seconds)] * len(view.seconds)
    colour, dashes = _SERIES[index % NUM_SERIES], _DASHES[index % len(_DASHES)]
    axes.hist(view.seconds, bins=edges, weights=weights, color=colour, histtype="stepfilled", alpha=0.16)
    axes.hist(view.seconds, bins=edges, weights=weights, color=colour, histtype="step", linewidth=1.6, linestyle=dashes)
    above_the_axes = axes.get_xaxis_transform()
    middle_s = median(view.seconds)
    axes.plot([middle_s, middle_s], [0.95, 1.03], color=colour, linewidth=3, transform=above_the_axes, clip_on=False)


def loss_panel(curves: Sequence[LossCurve], *, name: str, alt: str) -> str:
    """Cross-entropy over steps: one line per curve, held-out ones dashed; gaps where a value is not finite.

    Args:
        curves: Curves of one modality, drawn with palette indices 0, 1, 2 …
        name: Unique on the page; letters, digits and hyphens.
        alt: What a reader who cannot see the figure should know.
    """

    def draw(axes: Axes) -> None:
        for index, curve in enumerate(curves):
            steps = [step for step, _ in curve.points]
            nats = [value if math.isfinite(value) else math.nan for _, value in curve.points]
            marker = "o" if len(steps) == 1 else ""
            axes.plot(
                steps,
                nats,
                marker=marker,
                color=_SERIES[index % NUM_SERIES],
                linewidth=1.8,
                linestyle=_DASHES[dash(curve)],
            )
        axes.set(xlabel="step", ylabel="cross-entropy, nats per token")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))

    return _figure(draw, height_in=2.8, name=name, alt=alt)


def dash(curve: LossCurve) -> int:
    """Line style of a curve: 0 (solid) for training, 1 (dashed) for whatever is held out."""
    return 0 if curve.split == "train" else 1


def score_forest(rows: Sequence[ScoreRow], *, name: str, alt: str) -> str:
    """One interval per row under its condition's name, chance as a tick across it; hollow where chance is not excluded.

    Args:
        rows: Scores with at least one item each, drawn from top to bottom.
        name: Unique on the page; letters, digits and hyphens.
        alt: What a reader who cannot see the figure should know.
    """

    def draw(axes: Axes) -> None:
        for place, row in enumerate(rows):
            _draw_interval(axes, row, -place)
        axes.set(xlim=(0, 100), ylim=(0.5 - len(rows), 0.75), xlabel="accuracy, % (95 % interval); dotted: chance")
        axes.set_xticks([0, 25, 50, 75, 100])
        axes.set_yticks([])

    return _figure(draw, height_in=0.75 + 0.54 * len(rows), name=name, alt=alt)


def _draw_interval(axes: Axes, row: ScoreRow, height: float) -> None:
    is_clear = row.verdict != "chance not excluded"
    colour = _SERIES[0]
    axes.plot([row.chance * 100] * 2, [height - 0.22, height + 0.22], color=_INK, linewidth=1.3, linestyle=":")
    axes.plot([row.low * 100, row.high * 100], [height] * 2, color=colour, linewidth=2.4, solid_capstyle="round")
    axes.plot(
        row.accuracy * 100, height, "o", color=colour, markersize=7, markeredgewidth=1.8,
        markerfacecolor=colour if is_clear else "white", clip_on=False,
    )  # fmt: skip
    axes.text(0, height + 0.46, _drawable(row.condition), va="center", ha="left")
    axes.text(100, height + 0.46, f"{row.accuracy * 100:.1f} %", va="center", ha="right")


def _drawable(text: str) -> str:
    """`text` as XML may hold it and the measuring font can measure it, cut to what fits the figure's width."""
    glyphs = font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()
    shown = "".join(letter if letter.isprintable() and ord(letter) in glyphs else "\ufffd" for letter in text)
    return shown if len(shown) <= _MAX_LABEL_CHARACTERS else shown[: _MAX_LABEL_CHARACTERS - 1] + "…"


def _figure(draw: Callable[[Axes], None], *, height_in: float, name: str, alt: str) -> str:
    with style.context(_STYLE, after_reset=True):
        figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
        draw(figure.subplots())
        file = io.StringIO()
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(file.getvalue(), name, alt)


def _inline(file: str, name: str, alt: str) -> str:
    """matplotlib's SVG file as an element for an HTML body."""
    root = ElementTree.fromstring(file)
    _remove_stylesheets(root)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = _plain_attributes(element.attrib)
        element.tail = None
    _own_ids(root, name)
    view_box = root.attrib["viewBox"]
    root.attrib = {"class": "figure", "viewBox": view_box, "role": "img", "aria-label": alt}
    # what matplotlib's own stylesheet says, which would otherwise reach the whole page
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _remove_stylesheets(root: ElementTree.Element) -> None:
    for parent in list(root.iter()):
        for child in [child for child in parent if _local(child.tag) == "style"]:
            parent.remove(child)


def _plain_attributes(attributes: dict[str, str]) -> dict[str, str]:
    plain = {_local(key): re.sub(r"\s+", " ", value) for key, value in attributes.items() if key != "style"}
    for declaration in filter(None, attributes.get("style", "").split("; ")):
        key, _, value = declaration.partition(": ")
        if key != "font-family":
            plain[key] = _CSS_COLOURS.get(value, value.replace("#ffffff", "var(--card)"))
    return plain


def _own_ids(root: ElementTree.Element, name: str) -> None:
    """Drops ids that nothing points to and puts the figure's name before the others."""
    pointed_at = set()
    for element in root.iter():
        for key in [key for key in ("href", "clip-path") if key in element.attrib]:
            pointed_at.add(element.attrib[key].removeprefix("url(").removeprefix("#").removesuffix(")"))
            element.attrib[key] = element.attrib[key].replace("#", f"#{name}-", 1)
    for element in root.iter():
        old_id = element.attrib.pop("id", "")
        if old_id in pointed_at:
            element.attrib["id"] = f"{name}-{old_id}"
