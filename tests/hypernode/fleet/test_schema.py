from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import CATALOGUE, OPEN, WRITABLE, texts

from hypernode.catalogue import as_text
from hypernode.errors import FileError
from hypernode.fleet.schema import make_schema
from hypernode.fleet.spec import parse

SCHEMA = make_schema(CATALOGUE)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


class Loader(yaml.SafeLoader):
    """What an editor sees: YAML's own types, and nothing for our one tag."""


Loader.add_constructor("!clear", lambda loader, node: None)
# An editor's JSON has texts for keys and for days.
for _kind in ("timestamp", "bool", "int", "float", "null"):
    Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", getattr(yaml.SafeLoader, f"construct_yaml_{_kind}"))
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def as_data(text: str) -> Any:
    """Return `text` as a JSON schema's user would load it."""
    return json.loads(json.dumps(yaml.load(text, Loader)))  # a safe loader


def schema_takes(text: str) -> bool:
    return VALIDATOR.is_valid(as_data(text))


def reader_takes(text: str) -> bool:
    try:
        parse(text.encode(), CATALOGUE)
    except FileError:
        return False
    return True


def with_setting(line: str) -> str:
    return f"version: 1\nnodes: {{shop: {{settings: {{{line}}}}}}}"


def with_gate(gate: str) -> str:
    return f"version: 1\nrollout: {{gates: [{gate}]}}"


def test_it_is_a_valid_schema_of_2020_12():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_it_lists_every_setting_that_can_be_written_and_no_other():
    listed = next(form for form in SCHEMA["$defs"]["settings"]["oneOf"] if "properties" in form)["properties"]
    assert set(listed) == {setting.name for setting in WRITABLE}
    assert all(listed[setting.name]["description"] == setting.description for setting in WRITABLE)


def test_it_knows_settings_of_the_live_catalogue():
    live = CATALOGUE.overlay({"brand_new": ["a", "b"], "php_version": ["9.0"]})
    validator = jsonschema.Draft202012Validator(make_schema(live))
    assert validator.is_valid({"version": 1, "nodes": {"a": {"settings": {"brand_new": "a", "php_version": 9.0}}}})
    assert not validator.is_valid({"version": 1, "nodes": {"a": {"settings": {"brand_new": "c"}}}})


ACCEPTED = {
    "least": "version: 1",
    "empty parts": "version: 1\nnodes:\ngroups: ~\ndefaults: null\nrollout:\nlimits:",
    "empty layers": "version: 1\nnodes: {a: , b: {}, c: {settings: }}\ngroups: {g: {settings: {}}}",
    "no groups said": "version: 1\nnodes: {a: {groups: }, b: {groups: []}}",
    "groups that YAML takes for something else": "version: 1\ngroups: {1: , yes: }\nnodes: {a: {groups: [1, yes]}}",
    "all keys": """\
version: 1
defaults: {settings: {modern_ssl_config_enabled: true}, via: api}
groups:
  magento: {settings: {php_version: 8.3, permissive_memory_management: false}}
nodes:
  kaasshop: {groups: [magento], via: ssh, ssh: {host: '{node}.example.com', port: 22, user: app}}
rollout: {max_failures: 10%}
limits: {max_nodes: 30%, max_changes: 500}
ignore:
  - {node: kaasshop, setting: php_version, reason: "ticket 42", until: 2999-12-31}
  - {group: magento, setting: php_version, reason: 42, until: '2999-12-31'}
""",
    "nothing ignored": "version: 1\nignore:",
    "an empty list of what is ignored": "version: 1\nignore: []",
    "limits nobody set": "version: 1\nlimits: {max_nodes: , max_changes: ~}\nrollout: {max_failures: null}",
    "numbers": "version: 1\nlimits: {max_nodes: 0, max_changes: 0}\nrollout: {max_failures: 1}",
    "most": "version: 1\nlimits: {max_nodes: 100%}\nrollout: {max_failures: 100%}",
    "quoted": "version: '1'\nlimits: {max_nodes: '3', max_changes: '7'}\nrollout: {max_failures: '1'}",
    "brancher": "version: 1\nnodes: {shop-eph12ab: }",
    "longest name": f"version: 1\nnodes: {{{'a' * 16}: }}",
    "null lifts": with_setting("php_version: null, varnish_enabled: ~, new_relic_secret: "),
    "clear": with_setting("php_version: !clear , new_relic_secret: !clear "),
    "versions": with_setting("php_version: 8.0, opensearch_version: 2.12, mysql_version: '8.0', redis_version: 7.x"),
    "numbers as versions": with_setting("nodejs_version: 22, mysql_ft_min_word_len: 4"),
    "booleans": with_setting("varnish_enabled: yes, redis_persistent_instance: OFF, mailhog_enabled: 'tRuE'"),
    "a quoted boolean": with_setting("varnish_enabled: 'on'"),
    "integers": with_setting("autoscale_trigger_load_percentage: 70, mysql_long_query_time: 5"),
    "quoted integers": with_setting("autoscale_trigger_load_percentage: '70', mysql_long_query_time: '5'"),
    "texts": with_setting("override_sendmail_return_path: a@b.example"),
    "texts that are none": with_setting("override_sendmail_return_path: 1.10, new_relic_app_name: yes"),
    "a day": with_setting("new_relic_app_name: 2024-01-01"),
    "an empty text": with_setting("new_relic_app_name: ''"),
    "references": with_setting("new_relic_secret: keyring:a/b, tideways_api_key: 'cmd:pass show x'"),
    "a reference with a space": with_setting("new_relic_secret: 'cmd: pass show x'"),
    "no gates": "version: 1\nrollout: {gates: }",
    "no gate": with_gate(""),
    "all gates": with_gate("flows, http: 'http://a/', fpm: {max_busy: 0}, command: [x]"),
    "all of http": with_gate(
        "http: {url: 'https://{node}.example.com:8443/a?b={node}', status: 404, timeout: 0.5, contains: yes, "
        "lacks: 1.10, tries: 2 of 3}"
    ),
    "nothing of http but its page": with_gate(
        "http: {url: 'http://a', status: , timeout: , contains: , lacks: , tries: }"
    ),
    "quoted numbers of http": with_gate("http: {url: 'http://a?', status: '503', timeout: '10'}"),
    "quoted workers": with_gate("fpm: {max_busy: '20'}"),
    "all of command": with_gate("command: {run: [./smoke-test, --fast, 1, yes, ''], timeout: 2m}"),
    "shared": "version: 1\ndefaults: {settings: &s {php_version: 8.3}}\nnodes: {a: {settings: *s}}",
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_the_reader_accepts_the_schema_accepts(text):
    assert reader_takes(text), "the case itself is wrong"
    assert schema_takes(text)


def with_entry(entry: str) -> str:
    return f"version: 1\nnodes: {{shop: }}\ngroups: {{g: }}\nignore: [{{{entry}}}]"


REFUSED = {
    "ignore as a mapping": "version: 1\nignore: {shop: php_version}",
    "ignored nowhere": with_entry("setting: php_version, reason: x, until: 2999-01-01"),
    "ignored in two places": with_entry("node: shop, group: g, setting: php_version, reason: x, until: 2999-01-01"),
    "ignored without a setting": with_entry("node: shop, reason: x, until: 2999-01-01"),
    "ignored without a reason": with_entry("node: shop, setting: php_version, until: 2999-01-01"),
    "ignored for an empty reason": with_entry("node: shop, setting: php_version, reason: ' ', until: 2999-01-01"),
    "ignored for ever": with_entry("node: shop, setting: php_version, reason: x"),
    "ignored until a word": with_entry("node: shop, setting: php_version, reason: x, until: soon"),
    "ignored until month 13": with_entry("node: shop, setting: php_version, reason: x, until: 2999-13-01"),
    "an unknown setting ignored": with_entry("node: shop, setting: php_versoin, reason: x, until: 2999-01-01"),
    "a read-only setting ignored": with_entry("node: shop, setting: varnish_secret, reason: x, until: 2999-01-01"),
    "an unknown key of an entry": with_entry(
        "node: shop, setting: php_version, reason: x, until: 2999-01-01, since: 2020-01-01"
    ),
    "no version": "nodes: {}",
    "another version": "version: 2",
    "no mapping": "- 1",
    "unknown key": "version: 1\nnode: {}",
    "unknown key of a layer": "version: 1\ndefaults: {setting: {}}",
    "groups in defaults": "version: 1\ndefaults: {groups: []}",
    "groups in a group": "version: 1\ngroups: {a: {groups: []}}",
    "unknown key of a node": "version: 1\nnodes: {a: {php_version: 8.3}}",
    "unknown key of limits": "version: 1\nlimits: {max_node: 1}",
    "waves": "version: 1\nrollout: {waves: [1]}",
    "gates as text": "version: 1\nrollout: {gates: flows}",
    "unknown gate": with_gate("flow"),
    "a gate that is nothing": with_gate("~"),
    "a gate without a name": with_gate("{}"),
    "a gate in a list": with_gate("[flows]"),
    "a gate that says nothing": with_gate("http"),
    "a gate that says null": with_gate("{http: }, {fpm: }, {command: }"),
    "flows with more": with_gate("flows: {}"),
    "two gates in one": with_gate("{fpm: {max_busy: 1}, command: [x]}"),
    "a gate twice": with_gate("flows, flows"),
    "http without a page": with_gate("http: {status: 200}"),
    "http with another key": with_gate("http: {url: 'http://a/', statuses: 200}"),
    "a page that is a list": with_gate("http: ['http://a/']"),
    "a page over ftp": with_gate("http: 'ftp://a/'"),
    "a page in a file": with_gate("http: 'file:///etc/passwd'"),
    "a page without a scheme": with_gate("http: '{node}.hypernode.io'"),
    "a page with a password": with_gate("http: 'https://a:b@c/'"),
    "a page with a user": with_gate("http: 'https://a@c/'"),
    "a page without a host": with_gate("http: 'https:///a'"),
    "a page of something else": with_gate("http: 'https://{app}.hypernode.io/'"),
    "a page with a space": with_gate("http: 'https://a/b c'"),
    "a page with a part": with_gate("http: 'https://a/#b'"),
    "a page not in ASCII": with_gate("http: 'https://kaasb\u00f6rse/'"),
    "a status of 99": with_gate("http: {url: 'http://a/', status: 99}"),
    "a status of 600": with_gate("http: {url: 'http://a/', status: 600}"),
    "a status in words": with_gate("http: {url: 'http://a/', status: ok}"),
    "a timeout of 0": with_gate("http: {url: 'http://a/', timeout: 0}"),
    "a timeout beyond all": with_gate("http: {url: 'http://a/', timeout: 601}"),
    "a timeout in words": with_gate("http: {url: 'http://a/', timeout: soon}"),
    "an empty text to look for": with_gate("http: {url: 'http://a/', contains: ''}"),
    "a list of texts to look for": with_gate("http: {url: 'http://a/', lacks: [a]}"),
    "more good tries than tries": with_gate("http: {url: 'http://a/', tries: 3 of 2}"),
    "no good try": with_gate("http: {url: 'http://a/', tries: 0 of 2}"),
    "eleven tries": with_gate("http: {url: 'http://a/', tries: 1 of 11}"),
    "tries as a number": with_gate("http: {url: 'http://a/', tries: 3}"),
    "fpm without a number": with_gate("fpm: {}"),
    "fpm with nothing for a number": with_gate("fpm: {max_busy: }"),
    "fpm with a percentage": with_gate("fpm: {max_busy: 20%}"),
    "fpm below": with_gate("fpm: {max_busy: -1}"),
    "fpm as a number": with_gate("fpm: 20"),
    "a command as text": with_gate("command: ./smoke-test"),
    "a command of no words": with_gate("command: []"),
    "a command without a name": with_gate("command: ['', a]"),
    "a command with a null": with_gate("command: [a, ~]"),
    "a command with a list": with_gate("command: [a, [b]]"),
    "a command that nothing can run": with_gate('command: ["a\\0"]'),
    "a command without words": with_gate("command: {timeout: 5s}"),
    "a command with another key": with_gate("command: {run: [a], shell: yes}"),
    "a list of nodes": "version: 1\nnodes: [a]",
    "a list of settings": "version: 1\nnodes: {a: {settings: [php_version]}}",
    "a text for a layer": "version: 1\ndefaults: x",
    "groups as text": "version: 1\ngroups: {a: }\nnodes: {b: {groups: a}}",
    "a group twice": "version: 1\ngroups: {a: }\nnodes: {b: {groups: [a, a]}}",
    "node name with a path": "version: 1\nnodes: {../x: }",
    "node name in capitals": "version: 1\nnodes: {Shop: }",
    "node name of 17 letters": f"version: 1\nnodes: {{{'a' * 17}: }}",
    "group called all": "version: 1\ngroups: {all: }",
    "group with a space": "version: 1\ngroups: {a b: }",
    "via telnet": "version: 1\nnodes: {a: {via: telnet}}",
    "ssh on no port": "version: 1\nnodes: {a: {ssh: {port: 0}}}",
    "ssh on a port beyond all": "version: 1\nnodes: {a: {ssh: {port: 65536}}}",
    "ssh with another key": "version: 1\nnodes: {a: {ssh: {key: x}}}",
    "unknown setting": with_setting("php_versoin: 8.3"),
    "read-only setting": with_setting("varnish_secret: env:X"),
    "unknown version": with_setting("php_version: 9.9"),
    "unknown word": with_setting("redis_eviction_policy: volatile-lur"),
    "list as a value": with_setting("php_version: [8.3]"),
    "mapping as a value": with_setting("php_version: {a: 1}"),
    "list as a text": with_setting("override_sendmail_return_path: [a]"),
    "number as a boolean": with_setting("varnish_enabled: 1"),
    "word as a boolean": with_setting("varnish_enabled: enabled"),
    "text as an integer": with_setting("autoscale_trigger_load_percentage: many"),
    "fraction as an integer": with_setting("autoscale_trigger_load_percentage: 1.5"),
    "boolean as an integer": with_setting("autoscale_trigger_load_percentage: true"),
    "boolean as one of some integers": with_setting("mysql_long_query_time: true"),
    "number out of some": with_setting("mysql_long_query_time: 7"),
    "a number of 30 digits": with_setting(f"autoscale_trigger_load_percentage: {'9' * 30}"),
    "literal secret": with_setting("new_relic_secret: hunter2"),
    "literal secret with a colon": with_setting("new_relic_secret: a:b"),
    "number as a secret": with_setting("new_relic_secret: 123456"),
    "reference to nothing": with_setting("new_relic_secret: 'env:'"),
    "reference where none belongs": with_setting("new_relic_app_name: env:NAME"),
    "max_nodes below": "version: 1\nlimits: {max_nodes: -1}",
    "max_nodes over 100%": "version: 1\nlimits: {max_nodes: 101%}",
    "max_nodes of 999%": "version: 1\nlimits: {max_nodes: 999%}",
    "max_nodes of a part": "version: 1\nlimits: {max_nodes: 1.5}",
    "max_nodes as a boolean": "version: 1\nlimits: {max_nodes: true}",
    "max_changes as a percentage": "version: 1\nlimits: {max_changes: 10%}",
    "max_changes below": "version: 1\nlimits: {max_changes: -1}",
    "max_changes of 12 digits": "version: 1\nlimits: {max_changes: 999999999999}",
    "max_failures of 0": "version: 1\nrollout: {max_failures: 0}",
    "max_failures of 0%": "version: 1\nrollout: {max_failures: 0%}",
    "max_failures over 100%": "version: 1\nrollout: {max_failures: 200%}",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_the_reader_refuses_by_its_form_the_schema_refuses(text):
    assert not reader_takes(text), "the case itself is wrong"
    assert not schema_takes(text)


BEYOND = {
    "an ignored node that is not there": with_entry("node: sjop, setting: php_version, reason: x, until: 2999-01-01"),
    "a last day that is over": with_entry("node: shop, setting: php_version, reason: x, until: 2020-01-01"),
    "a day that no calendar has": with_entry("node: shop, setting: php_version, reason: x, until: 2999-02-30"),
    "a group that is not there": "version: 1\nnodes: {a: {groups: [b]}}",
    "a secret that is not there": with_setting("new_relic_secret: env:HNCTL_TEST_UNSET"),
    "a number that equals a version": with_setting("php_version: 8.30"),
    "a whole number that equals a version": with_setting("php_version: 8"),
    "a number in another base": "version: 1\nlimits: {max_changes: 0x10}",
    "one as a fraction": "version: 1.0",
    "a port beyond all": with_gate("http: 'http://a:65536/'"),
    "a timeout of 0 seconds": with_gate("command: {run: [a], timeout: 0s}"),
    "a timeout of hours": with_gate("command: {run: [a], timeout: 2h}"),
    "a gate twice, in two spellings": with_gate("http: 'http://a/', http: {url: 'http://a/'}"),
}


@pytest.mark.parametrize("text", BEYOND.values(), ids=BEYOND.keys())
def test_the_schema_leaves_to_the_reader_what_data_cannot_tell(text):
    # Data loses the source text, and a schema sees neither other keys nor the world: named here so that it is known.
    assert schema_takes(text)
    assert not reader_takes(text)


_odd = st.sampled_from(["8.10", "8", "8.3", "x", "true", "OFF", "'yes'", "1", "0", "2.5", "-1", "''", "~", "[]", "{}"])
_odder = st.sampled_from(["!clear ", "hunter2", "'env:'", "keyring:a/b", "'cmd: a b'", "4k", "7.x", "'8.0'", "22"])


@st.composite
def _lines(draw: st.DrawFn) -> list[tuple[str, str]]:
    lines = []
    for setting in draw(st.lists(st.sampled_from(WRITABLE), max_size=4, unique_by=lambda s: s.name)):
        if setting.secret:
            value = draw(_odd | _odder)
        else:
            fit = texts(setting).map(as_text).flatmap(lambda text: st.sampled_from([json.dumps(text), text or "''"]))
            # A text with YAML's own signs has to be quoted.
            value = draw(_odd | _odder | fit.filter(lambda text: ": " not in text or text.startswith('"')))
        lines.append((setting.name, value))
    return lines


def _ignoring(places: list[str]) -> st.SearchStrategy[str]:
    """Return what may stand under ``ignore``, most of it odd, for one of `places` that there are."""
    if not places:
        return st.sampled_from(["", "ignore: []\n", "ignore: {}\n", "ignore:\n"])
    reason = st.sampled_from(["x", "x", "42", "true", "''", "~", "[]", "!clear "])
    setting = st.sampled_from(["php_version", "php_version", "new_relic_secret", "varnish_secret", "nope", "~"])
    until = st.sampled_from(["2999-12-31", "2999-12-31", "'2999-12-31'", "29991231", "2999-13-01", "soon", "~", "2999"])
    parts = st.tuples(st.sampled_from([*places, "node: ~", "reason: y"]), setting, reason, until)
    entry = parts.map(lambda part: f"{{{part[0]}, setting: {part[1]}, reason: {part[2]}, until: {part[3]}}}")
    return entry.map(lambda one: f"ignore: [{one}]\n")


@st.composite
def _documents(draw: st.DrawFn) -> str:
    def layer(*more: str) -> str:
        said = ", ".join(f"{name}: {value}" for name, value in draw(_lines()))
        parts = [f"settings: {{{said}}}", *more]
        return "{" + ", ".join(parts) + "}"

    groups = draw(st.lists(st.sampled_from(["magento", "g_1", "a-b"]), unique=True, max_size=2))
    share = st.sampled_from(["0", "1", "5", "0%", "1%", "30%", "100%", "101%", "-1", "'7'", "x", "~", "1.5", "[]"])
    text = f"version: {draw(st.sampled_from(['1', '1', '1', '2']))}\n"
    text += f"defaults: {layer()}\ngroups:\n" + "".join(f"  {group}: {layer('via: api')}\n" for group in groups)
    names = st.lists(st.sampled_from(["shop", "x1", "shop-ephab", "Shop", "../x"]), unique=True, max_size=2)
    nodes = draw(names)
    text += "nodes:\n" + "".join(f"  {n}: {layer('groups: [' + ', '.join(groups) + ']')}\n" for n in nodes)
    text += draw(_ignoring([f"node: {node}" for node in nodes] + [f"group: {group}" for group in groups]))
    text += f"limits: {{max_nodes: {draw(share)}, max_changes: {draw(share)}}}\n"
    return text + f"rollout: {{max_failures: {draw(share)}}}\n"


def _told_apart_by_the_source_only(text: str) -> bool:
    """Tell whether some scalar of `text` is a number whose data equals that of another spelling."""
    return any(f": {value}" in text for value in ("8,", "8}", "8\n", "8.10"))


@settings(max_examples=75, deadline=None)
@given(_documents())
def test_schema_and_reader_agree_on_any_document(text):
    if reader_takes(text):
        assert schema_takes(text)
    elif not _told_apart_by_the_source_only(text):
        assert not schema_takes(text)


@settings(max_examples=75, deadline=None)
@given(st.sampled_from(OPEN).flatmap(lambda setting: st.tuples(st.just(setting), texts(setting))))
def test_every_value_of_every_setting_passes_quoted_or_not(pair):
    setting, value = pair
    for written in (json.dumps(as_text(value)), as_text(value)):
        if written and ": " not in as_text(value):
            assert schema_takes(with_setting(f"{setting.name}: {written}"))


@settings(max_examples=75, deadline=None)
@given(st.sampled_from(OPEN), st.sampled_from(["8.10", "8.30", "8", "8.0", "7.x", "22.0", "2.120", "2.12", "5", "05"]))
def test_a_number_is_refused_by_the_reader_and_not_by_the_schema_only_where_data_is_equal(setting, written):
    text = with_setting(f"{setting.name}: {written}")
    if schema_takes(text) and not reader_takes(text):
        number = as_data(written)
        assert setting.values is None or any(_equal(number, value) for value in setting.values)


def _equal(number: Any, value: Any) -> bool:
    try:
        return float(number) == float(value)
    except ValueError:
        return False
