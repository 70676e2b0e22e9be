"""Which addresses are worth reading, decided by look-up before anything of a page is parsed.

    https://En.Example.org:443/a/b?q  ->  host en.example.org, path /a/b
                                      ->  a rule for en.example.org, example.org or org: all of it, /a, or /a/b

A rule is a domain, which stands for its subdomains too, or a domain with a path, which stands for all below it. Ends of
host names (``.edu``) are domains like any other. All rules are hashed: what an address costs does not grow with them.
"""

import ipaddress
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import idna

from spelangy.core.errors import Dropped, UserError
from spelangy.core.hashing import digest
from spelangy.synth.config import UrlSettings

_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_FILE_LIKE = re.compile(r"\.{0,2}/|~|.*\.(?:txt|list|lst)$", re.DOTALL)
MAX_HOST_CHARS = 253
MAX_WRITTEN_HOST_CHARS = 1_000
"""Before it is encoded; more is no host."""


@dataclass(frozen=True, kw_only=True)
class SeedGroup:
    """Knowledge-rich sites of one kind.

    Attributes:
        reason: Why their pages are worth reading.
        sites: Domains and path prefixes.
        suffixes: Ends of host names that are given to such institutions alone (``.edu``).
    """

    name: str
    reason: str
    sites: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SiteRules:
    """Domains and path prefixes, hashed.

    Attributes:
        paths: Paths by domain, without their last slash; the empty path is the whole domain.
        depth: Most segments of any path.
    """

    paths: Mapping[str, frozenset[str]]
    depth: int

    @classmethod
    def of(cls, entries: Iterable[str]) -> "SiteRules":
        """Rules of `entries`; their order and repetition mean nothing.

        Raises:
            UserError: When an entry is neither a domain nor a domain with a path.
        """
        paths: dict[str, set[str]] = defaultdict(set)
        for entry in entries:
            domain, path = _entry(entry)
            paths[domain].add(path)
        depth = max((path.count("/") for of_domain in paths.values() for path in of_domain), default=0)
        return cls(paths={domain: frozenset(found) for domain, found in paths.items()}, depth=depth)

    @property
    def entries(self) -> list[str]:
        """Every rule in its canonical form, sorted."""
        return sorted(domain + path for domain, paths in self.paths.items() for path in paths)

    def match(self, host: str, path: str) -> str:
        """The rule that `host` and `path` fall under, of the longest domain; empty when there is none."""
        domain = host
        while domain:
            found = self.paths.get(domain)
            if found is not None:
                if "" in found:
                    return domain
                for prefix in _prefixes(path, self.depth):
                    if prefix in found:
                        return domain + prefix
            domain = domain.partition(".")[2]
        return ""


@dataclass(frozen=True, kw_only=True)
class UrlRules:
    """Says of an address whether its page is read. Denying wins over allowing, wherever either stands.

    *Drops* addresses of sites the recipe denies, and, where it asks for ``knowledge`` sites, all that are neither on
    the seed list nor allowed. *Why*: most of a crawl holds little to learn from, and the address is known before a byte
    of the page is read. *Costs*: good pages of sites that nobody listed.

    Attributes:
        identity: Digest of all rules, those from files included; the order they were given in does not matter.
    """

    allow: SiteRules
    deny: SiteRules
    sites: Literal["any", "knowledge"]
    identity: str

    @classmethod
    def from_settings(cls, settings: UrlSettings) -> "UrlRules":
        """Reads the list files that `settings` names.

        Raises:
            UserError: When a file is not there, or an entry is neither a domain nor a domain with a path.
        """
        deny = SiteRules.of([*_expanded(settings.deny), *map(_suffix, settings.deny_suffixes)])
        allow = SiteRules.of([*_expanded(settings.allow), *(seed_entries() if settings.sites == "knowledge" else ())])
        decided_by = allow.entries if settings.sites == "knowledge" else None
        identity = digest({"sites": settings.sites, "allow": decided_by, "deny": deny.entries})
        return cls(allow=allow, deny=deny, sites=settings.sites, identity=identity)

    def check(self, uri: str) -> None:
        """Lets `uri` pass, or raises.

        What is on no site (a local file, ``data:``) falls under no rule: it passes where any page is read.

        Raises:
            Dropped: ``"denied site"`` (detail: the rule); ``"not a knowledge site"`` (detail: the host);
                ``"no address"`` (no host that can be read, or knowledge sites asked for and no web address at all).
        """
        host, path = address(uri)
        if not host and self.sites == "knowledge":
            raise Dropped("no address", detail=uri)
        denied = self.deny.match(host, path)
        if denied:
            raise Dropped("denied site", detail=denied)
        if self.sites == "knowledge" and not self.allow.match(host, path):
            raise Dropped("not a knowledge site", detail=host)


def address(uri: str) -> tuple[str, str]:
    """Host and path of a web address, as rules name them; both empty for what is on no site.

    The host is lower case, punycode, without port, user and trailing dot; the path is decoded, without query and dot
    segments. An address without a scheme counts when it starts like a host (``example.org/page``).

    Raises:
        Dropped: ``"no address"`` when it starts with ``http`` or ``https`` and its host cannot be read.
    """
    uri = uri.strip()
    scheme, rest = _without_scheme(uri)
    if rest is None:
        return "", ""
    if "\\" in rest:
        rest = rest.replace("\\", "/")
    authority, _, path = rest.partition("/")
    if "?" in authority or "#" in authority:
        authority, path = re.split(r"[?#]", authority, maxsplit=1)[0], ""
    host = _host(authority)
    if host:
        return host, _path(path) if path else ""
    if scheme:
        raise Dropped("no address", detail=uri)
    return "", ""


def _without_scheme(uri: str) -> tuple[str, str | None]:
    """(``http`` or ``https`` or nothing, what a host would start); None for what has no host."""
    if uri.startswith("https://"):
        return "https", uri[8:]
    found = _SCHEME.match(uri)
    scheme = found[1].lower() if found else ""
    rest = uri[found.end() :] if found else uri
    if scheme in ("http", "https"):
        return scheme, rest.lstrip("/\\")
    if rest.startswith("//"):
        return "", None if scheme == "file" else rest[2:]
    # ``example.org:8080/page`` has no scheme, and ``page`` no host.
    is_bare = "." in (scheme or uri.partition("/")[0])
    return "", uri if is_bare else None


def _host(authority: str) -> str:
    """The host of ``user@host:port`` as rules name it; empty when it is none."""
    if "@" in authority:
        authority = authority.rpartition("@")[2]
    if authority.startswith("["):
        return _ip6(authority)
    host = authority.partition(":")[0][:MAX_WRITTEN_HOST_CHARS].lower().rstrip(".")
    if _HOST.fullmatch(host):
        return host if len(host) <= MAX_HOST_CHARS else ""
    try:
        # What an address may hold beside plain letters: other scripts, their full-width dots, and percent signs.
        host = idna.encode(unquote(host), uts46=True).decode().rstrip(".")
    except (idna.IDNAError, UnicodeError):
        return ""
    return host if _HOST.fullmatch(host) and len(host) <= MAX_HOST_CHARS else ""


def _ip6(authority: str) -> str:
    inside, closed, _ = authority[1:].partition("]")
    try:
        return f"[{ipaddress.IPv6Address(inside)}]" if closed else ""
    except ValueError:
        return ""


def _path(path: str) -> str:
    """``/a/b`` of ``a//b/?q#f``: decoded, without empty and dot segments."""
    for end in "?#":
        if end in path:
            path = path.partition(end)[0]
    if "%" in path:
        path = unquote(path)
    path = f"/{path}"
    if "/." not in path and "//" not in path and path[-1] != "/":
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    return "".join(f"/{segment}" for segment in kept)


def _prefixes(path: str, depth: int) -> Iterator[str]:
    """``/a``, ``/a/b`` … of a path, at most `depth` of them."""
    end = 0
    for _ in range(depth):
        end = path.find("/", end + 1)
        if end < 0:
            if path:
                yield path
            return
        yield path[:end]


# ------------------------------------------------------------------------------------------------------------- entries


def _entry(entry: str) -> tuple[str, str]:
    """A rule's domain and path; a scheme or ``*.`` in front says nothing more."""
    try:
        host, path = address(entry.removeprefix("*.").removeprefix("."))
        host = host or _host(entry.strip("."))
    except Dropped:
        host, path = "", ""
    if not host:
        raise UserError(
            f"synth.urls: {entry!r} is neither a domain nor a domain with a path",
            hint="example.org, example.org/wiki, or the path of a file with such lines",
        )
    return host, path


def _suffix(suffix: str) -> str:
    host, path = _entry(suffix)
    if path:
        raise UserError(
            f"synth.urls.deny_suffixes: {suffix!r} is no end of a host name", hint="such as .xxx or .com.de"
        )
    return host


def _expanded(entries: Iterable[str]) -> Iterator[str]:
    """Every entry, and for a file's path its lines."""
    for entry in entries:
        path = Path(entry).expanduser()
        if path.is_file():
            yield from _lines(path)
        elif _FILE_LIKE.match(entry):
            raise UserError(
                f"synth.urls: there is no file {entry}", hint="paths are relative to where the command runs"
            )
        else:
            yield entry


def _lines(path: Path) -> Iterator[str]:
    """The entries of a list file: one a line, ``#`` starts a comment."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"synth.urls: {path} is not text in UTF-8: {error}", hint="one domain a line") from error
    for number, line in enumerate(lines, start=1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            _entry(entry)
        except UserError as error:
            raise UserError(f"{path}, line {number}: {error.message}", hint=error.hint) from error
        yield entry


@cache
def seed_groups() -> tuple[SeedGroup, ...]:
    """The seed list of knowledge-rich sites, with its reasons. Source: ours, ``seed_sites.toml``."""
    text = resources.files("spelangy.synth.web").joinpath("seed_sites.toml").read_text(encoding="utf-8")
    return tuple(
        SeedGroup(
            name=row["name"],
            reason=row["reason"],
            sites=tuple(row.get("sites", ())),
            suffixes=tuple(row.get("suffixes", ())),
        )
        for row in tomllib.loads(text)["group"]
    )


def seed_entries() -> list[str]:
    """All sites and suffixes of the seed list."""
    return [entry for group in seed_groups() for entry in (*group.sites, *group.suffixes)]
