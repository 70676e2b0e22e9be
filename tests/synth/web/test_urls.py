"""Which addresses are read: laws of the rules, odd addresses, the seed list, and the price of a look-up."""

import string
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spelangy.core.errors import Dropped, UserError
from spelangy.synth.config import UrlSettings
from spelangy.synth.web.urls import SiteRules, UrlRules, address, seed_entries, seed_groups

LABELS = st.text("abc", min_size=1, max_size=2)
DOMAINS = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
PATHS = st.lists(st.sampled_from(["a", "b", "wiki"]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
ENTRIES = DOMAINS | st.tuples(LABELS.map("{}.c".format), PATHS).map("".join)
RULE_LISTS = st.lists(ENTRIES, max_size=4).map(tuple)


def verdict(uri: str, **settings: object) -> str:
    try:
        UrlRules.from_settings(UrlSettings(**settings)).check(uri)  # type: ignore[arg-type]
    except Dropped as dropped:
        return dropped.reason
    return "read"


class TestLaws:
    @given(RULE_LISTS, RULE_LISTS, DOMAINS, PATHS)
    def test_denying_wins(self, allow, deny, host, path) -> None:
        uri = f"https://{host}{path}"
        denied = verdict(uri, deny=deny) == "denied site"
        for sites in ("any", "knowledge"):
            assert (verdict(uri, allow=allow, deny=deny, sites=sites) == "denied site") == denied

    @given(RULE_LISTS, LABELS, DOMAINS, PATHS)
    def test_a_subdomain_follows_its_parent(self, deny, label, host, path) -> None:
        if verdict(f"https://{host}{path}", deny=deny) == "denied site":
            assert verdict(f"https://{label}.{host}{path}", deny=deny) == "denied site"
        if verdict(f"https://{host}{path}", allow=deny, sites="knowledge") == "read":
            assert verdict(f"https://{label}.{host}{path}", allow=deny, sites="knowledge") == "read"

    @given(RULE_LISTS, DOMAINS, PATHS, st.sampled_from(["a", "b"]))
    def test_what_is_below_a_path_follows_it(self, deny, host, path, below) -> None:
        if verdict(f"https://{host}{path}", deny=deny) == "denied site":
            assert verdict(f"https://{host}{path}/{below}", deny=deny) == "denied site"

    @given(RULE_LISTS, st.randoms(use_true_random=False))
    def test_order_and_repetition_mean_nothing(self, entries, random) -> None:
        other = [*entries, *entries]
        random.shuffle(other)
        for field in ("allow", "deny"):
            one, two = (
                UrlRules.from_settings(UrlSettings.model_validate({field: given, "sites": "knowledge"}))
                for given in (entries, tuple(other))
            )
            assert one == two

    @given(RULE_LISTS, DOMAINS, PATHS)
    def test_a_rule_is_found_just_when_a_plain_search_finds_it(self, entries, host, path) -> None:
        def holds(entry: str) -> bool:
            domain, slash, below = entry.partition("/")
            is_host = f".{host}".endswith(f".{domain}")
            return is_host and f"{path}/".startswith(f"/{below}/" if slash else "")

        assert bool(SiteRules.of(entries).match(host, path)) == any(map(holds, entries))

    @given(st.text(max_size=40) | st.text(string.printable, max_size=40).map("https://{}".format))
    def test_any_text_gets_a_verdict(self, uri) -> None:
        for sites in ("any", "knowledge"):
            assert verdict(uri, deny=("a.com",), sites=sites) in (
                *("read", "denied site", "not a knowledge site", "no address"),
            )


class TestAddresses:
    @pytest.mark.parametrize(
        ("uri", "host", "path"),
        [
            ("HTTPS://En.Wikipedia.ORG.:443/wiki/Bee?x=1#top", "en.wikipedia.org", "/wiki/Bee"),
            ("http://user:p@ss@wikipedia.org", "wikipedia.org", ""),
            ("http://good.org?u=evil.com/", "good.org", ""),
            ("http://good.org#@evil.com/", "good.org", ""),
            ("http://evil.com\\@good.org/a", "evil.com", "/@good.org/a"),
            ("http:\\\\evil.com\\a", "evil.com", "/a"),
            ("http://bücher.de/ä", "xn--bcher-kva.de", "/ä"),
            ("http://XN--BCHER-KVA.de/%C3%A4", "xn--bcher-kva.de", "/ä"),
            ("http://wikipedia。org/a", "wikipedia.org", "/a"),
            ("http://%77ikipedia.org/%77iki", "wikipedia.org", "/wiki"),
            ("http://x.org/a/./b/../c//d/", "x.org", "/a/c/d"),
            ("http://x.org/../../a", "x.org", "/a"),
            ("http://[2001:DB8::1]:80/x", "[2001:db8::1]", "/x"),
            ("http://127.0.0.1:8080/x", "127.0.0.1", "/x"),
            ("//x.org/a", "x.org", "/a"),
            ("x.org:8080/a", "x.org", "/a"),
            ("ftp://x.org/a", "x.org", "/a"),
            ("  https://x.org/a\n", "x.org", "/a"),
        ],
    )
    def test_ways_to_write_one_address(self, uri: str, host: str, path: str) -> None:
        assert address(uri) == (host, path)

    @pytest.mark.parametrize(
        "uri", ["file:///home/x.org/a.html", "data:text/html,a.b", "javascript:a.b()", "mailto:a@b.org", "page", ""]
    )
    def test_what_is_on_no_site_passes_unless_sites_are_asked_for(self, uri: str) -> None:
        assert address(uri) == ("", "")
        assert verdict(uri, deny=("x.org",)) == "read"
        assert verdict(uri, sites="knowledge") == "no address"

    @pytest.mark.parametrize(
        "uri", ["http://", "https:///", "http://a b.org/", "http://[::1", "http://[x]/", "http://..."]
    )
    def test_a_web_address_without_a_host_is_no_address(self, uri: str) -> None:
        assert verdict(uri) == "no address"

    def test_a_long_address_is_judged_in_no_time(self) -> None:
        started = time.perf_counter()
        for uri in (f"http://{'ä' * 1_000_000}.org/", f"http://x.org/{'/' * 1_000_000}", f"http://{'a.' * 500_000}org"):
            verdict(uri, deny=("x.org/a/b",))
        assert time.perf_counter() - started < 2.0


class TestRules:
    def test_the_rule_is_named(self) -> None:
        rules = UrlRules.from_settings(UrlSettings(deny=("Example.org/A/",), deny_suffixes=(".xxx",)))
        for uri, rule in (("https://www.example.org/A/b", "example.org/A"), ("http://a.b.xxx", "xxx")):
            with pytest.raises(Dropped) as caught:
                rules.check(uri)
            assert caught.value.detail == rule
        rules.check("https://example.org/Ab")
        rules.check("https://notxxx/")

    def test_a_file_stands_for_its_lines(self, tmp_path: Path) -> None:
        (tmp_path / "denied.txt").write_text("# all of these\nspam.org  # since May\n\nexample.org/ads\n")
        listed = UrlRules.from_settings(UrlSettings(deny=(str(tmp_path / "denied.txt"),)))
        assert listed == UrlRules.from_settings(UrlSettings(deny=("example.org/ads", "spam.org")))

    def test_identity_holds_what_decides_and_nothing_else(self, tmp_path: Path) -> None:
        file = tmp_path / "denied.txt"
        identities = []
        for content in ("a.org", "a.org\na.org # twice", "b.org"):
            file.write_text(content)
            identities.append(UrlRules.from_settings(UrlSettings(deny=(str(file),))).identity)
        assert identities[0] == identities[1] != identities[2]
        plain, allowing, choosing = (
            UrlRules.from_settings(settings).identity
            for settings in (UrlSettings(), UrlSettings(allow=("a.org",)), UrlSettings(sites="knowledge"))
        )
        assert plain == allowing != choosing, "where any site is read, allowing one decides nothing"

    @pytest.mark.parametrize(
        ("field", "entry", "says"),
        [
            ("deny", "not a site", "neither a domain"),
            ("allow", "", "neither a domain"),
            ("deny", "/no/such/list", "there is no file"),
            ("deny", "lists/denied.txt", "there is no file"),
            ("deny_suffixes", ".com.de/a", "no end of a host"),
        ],
    )
    def test_nonsense_is_refused(self, field: str, entry: str, says: str) -> None:
        with pytest.raises(UserError, match=says):
            UrlRules.from_settings(UrlSettings.model_validate({field: (entry,)}))

    def test_a_bad_line_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "denied.txt").write_text("a.org\nno site\n")
        with pytest.raises(UserError, match="line 2"):
            UrlRules.from_settings(UrlSettings(deny=(str(tmp_path / "denied.txt"),)))


class TestSeedList:
    def test_every_group_says_why(self) -> None:
        groups = seed_groups()
        assert len({group.name for group in groups}) == len(groups) >= 15
        assert all(len(group.reason.split()) >= 5 and (group.sites or group.suffixes) for group in groups)
        assert len(seed_entries()) >= 300

    def test_no_entry_is_within_another(self) -> None:
        entries = seed_entries()
        for entry in entries:
            others = SiteRules.of(other for other in entries if other != entry)
            assert not others.match(*address(f"https://{entry}")), entry

    def test_entries_are_in_canonical_form(self) -> None:
        assert SiteRules.of(seed_entries()).entries == sorted(seed_entries())

    @pytest.mark.parametrize(
        ("uri", "reason"),
        [
            ("https://en.wikipedia.org/wiki/Bee", "read"),
            ("https://www.mit.edu/", "read"),
            ("https://www.nhs.uk/conditions/", "read"),
            ("https://www.reddit.com/r/askscience/x", "read"),
            ("https://www.reddit.com/r/funny/x", "not a knowledge site"),
            ("https://wikipedia.org.example.com/", "not a knowledge site"),
            ("https://notwikipedia.org/", "not a knowledge site"),
        ],
    )
    def test_what_it_takes(self, uri: str, reason: str) -> None:
        assert verdict(uri, sites="knowledge") == reason


def test_a_look_up_costs_microseconds() -> None:
    rules = UrlRules.from_settings(UrlSettings(sites="knowledge", deny=("wikihow.com/Special",)))
    uris = [f"https://www.site{number % 997}.example.co.uk/a/{number}/page.html?q=1" for number in range(20_000)]
    uris += [f"https://en.wikipedia.org/wiki/{number}" for number in range(20_000)]
    started = time.perf_counter()
    kept = 0
    for uri in uris:
        try:
            rules.check(uri)
            kept += 1
        except Dropped:
            pass
    assert kept == 20_000
    assert len(uris) / (time.perf_counter() - started) > 20_000, "a tenth of what an idle core does"
