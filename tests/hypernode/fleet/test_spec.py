from __future__ import annotations

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import CATALOGUE, OPEN, SECRET, texts

from hypernode.catalogue import as_text
from hypernode.errors import FileError
from hypernode.fleet.shares import Share, parse_share
from hypernode.fleet.spec import LIFTED, Fleet, Limits, load, parse
from hypernode.secrets import Reference


def fleet(text: str) -> Fleet:
    return parse(text.encode(), CATALOGUE)


def wishes(text: str, node: str = "shop") -> dict:
    return {name: wish.value for name, wish in fleet(text).resolve(node).items()}


def error(text: str) -> FileError:
    with pytest.raises(FileError) as caught:
        fleet(text)
    return caught.value


def problems(text: str) -> list[tuple[int, int, str, str | None]]:
    return [tuple(problem) for problem in error(text).problems]


def in_settings(line: str) -> str:
    return f"version: 1\nnodes:\n  shop:\n    settings:\n      {line}\n"


def value_of(line: str):
    (value,) = wishes(in_settings(line)).values()
    return value


def problem_of(line: str) -> tuple[int, int, str, str | None]:
    (problem,) = problems(in_settings(line))
    return problem


# Layers

LAYERED = """\
version: 1
defaults:
  settings: {php_version: 8.1, varnish_enabled: false, opensearch_enabled: false}
groups:
  magento:
    settings: {php_version: 8.2, varnish_enabled: true}
  staging:
    settings: {php_version: 8.3}
nodes:
  bare:
  one: {groups: [magento]}
  two: {groups: [magento, staging]}
  owt: {groups: [staging, magento]}
  own: {groups: [magento, staging], settings: {php_version: 8.4}}
"""


@pytest.mark.parametrize(
    ("node", "php", "varnish"),
    [
        ("bare", "8.1", False),
        ("one", "8.2", True),
        ("two", "8.3", True),
        ("owt", "8.2", True),
        ("own", "8.4", True),
    ],
)
def test_defaults_then_groups_in_order_then_the_node_win(node, php, varnish):
    assert wishes(LAYERED, node) == {"php_version": php, "varnish_enabled": varnish, "opensearch_enabled": False}


def test_layers_tells_all_that_was_said_with_lines_and_the_winner_last():
    said = fleet(LAYERED).layers("own", "php_version")
    assert [(wish.value, wish.layer, wish.line, wish.column) for wish in said] == [
        ("8.1", "defaults", 3, 27),
        ("8.2", "group magento", 6, 29),
        ("8.3", "group staging", 8, 29),
        ("8.4", "node own", 14, 61),
    ]
    assert fleet(LAYERED).layers("own", "mysql_version") == []


def test_the_winner_keeps_the_place_and_layer_it_came_from():
    assert fleet(LAYERED).resolve("owt")["php_version"] == ("8.2", "group magento", 6, 29)


def test_members_are_listed_in_the_order_of_the_file():
    assert fleet(LAYERED).members("magento") == ["one", "two", "owt", "own"]
    assert fleet(LAYERED).members("unheard") == []


def test_null_lifts_what_earlier_layers_said_and_a_later_one_may_say_it_again():
    text = """\
version: 1
defaults: {settings: {php_version: 8.1, varnish_enabled: true}}
groups:
  free: {settings: {php_version: null, varnish_enabled: ~}}
  again: {settings: {php_version: 8.2}}
nodes:
  shop: {groups: [free]}
  back: {groups: [free, again]}
  early: {groups: [again, free]}
  own: {groups: [again], settings: {php_version: }}
"""
    assert wishes(text, "shop") == {}
    assert wishes(text, "back") == {"php_version": "8.2"}
    assert wishes(text, "early") == {}
    assert wishes(text, "own") == {"varnish_enabled": True}
    assert [wish.value for wish in fleet(text).layers("shop", "php_version")] == ["8.1", LIFTED]


def test_clear_asks_for_null_and_is_no_lifting():
    text = "version: 1\ndefaults: {settings: {new_relic_app_name: x}}\nnodes: {shop: {settings: {%s: !clear }}}"
    assert wishes(text % "new_relic_app_name") == {"new_relic_app_name": None}
    assert wishes(text % "new_relic_secret") == {"new_relic_app_name": "x", "new_relic_secret": None}


def test_nodes_that_say_nothing_may_be_written_in_any_empty_form():
    made = fleet("version: 1\nnodes:\n  a:\n  b: {}\n  c: ~\n  d: {settings: }\n  e: {groups: ~}\n  f: {groups: []}")
    assert list(made.nodes) == list("abcdef")
    assert all(made.resolve(node) == {} for node in made.nodes)


def test_nodes_keep_the_order_of_the_file():
    assert list(fleet("version: 1\nnodes: {z: , a: , m: }").nodes) == ["z", "a", "m"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_last_layer_that_names_a_setting_wins(data):
    groups = ["g0", "g1", "g2"]
    pool = data.draw(st.lists(st.sampled_from(OPEN), min_size=1, max_size=3, unique_by=lambda s: s.name))
    plain = [s for s in pool if s.type != "string"] or [CATALOGUE["php_version"]]
    layer = st.dictionaries(
        st.sampled_from(plain), st.integers(0, 3).flatmap(lambda n: st.none() if n == 0 else st.just(n))
    )
    drawn = {
        name: {
            setting.name: None if said is None else data.draw(texts(setting))
            for setting, said in data.draw(layer).items()
        }
        for name in ["defaults", *groups, "node"]
    }
    listed = data.draw(st.permutations(groups))[: data.draw(st.integers(0, 3))]

    def written(name: str) -> str:
        return "{" + ", ".join(f"{k}: {'null' if v is None else as_text(v)}" for k, v in drawn[name].items()) + "}"

    text = f"version: 1\ndefaults: {{settings: {written('defaults')}}}\ngroups:\n"
    text += "".join(f"  {group}: {{settings: {written(group)}}}\n" for group in groups)
    text += f"nodes:\n  shop: {{groups: [{', '.join(listed)}], settings: {written('node')}}}\n"
    merged: dict = {}
    for name in ["defaults", *listed, "node"]:
        merged |= drawn[name]
    assert wishes(text) == {name: value for name, value in merged.items() if value is not None}


# Values


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("opensearch_version: 2.12", "2.12"),
        ("opensearch_version: '2.12'", "2.12"),
        ("php_version: 8.0", "8.0"),
        ("php_version: !!str 8.0", "8.0"),
        ("mysql_version: 8.0", "8.0"),
        ("nodejs_version: 22", "22"),
        ("mysql_ft_min_word_len: 4", "4"),
        ("mysql_long_query_time: 5", 5),
        ("mysql_long_query_time: '5'", 5),
        ("autoscale_trigger_load_percentage: -3", -3),
        ("varnish_http_req_hdr_len: 4k", "4k"),
        ("override_sendmail_return_path: 1.10", "1.10"),
        ("override_sendmail_return_path: 0x10", "0x10"),
        ("override_sendmail_return_path: yes", "yes"),
        ("override_sendmail_return_path: 2024-01-01", "2024-01-01"),
        ("override_sendmail_return_path: 12:30:45", "12:30:45"),
        ("override_sendmail_return_path: =", "="),
        ("override_sendmail_return_path: ''", ""),
        ("override_sendmail_return_path: 'null'", "null"),
        ('override_sendmail_return_path: "a\\nb"', "a\nb"),
        ("override_sendmail_return_path: info@shop.example", "info@shop.example"),
    ],
)
def test_a_value_counts_by_its_source_text_and_the_catalogue_types_it(line, value):
    got = value_of(line)
    assert (got, type(got)) == (value, type(value))


def test_eight_ten_is_not_eight_one():
    assert problem_of("php_version: 8.10")[2] == "php_version cannot be 8.10"
    live = CATALOGUE.overlay({"php_version": ["8.1", "8.10"]})
    made = parse(in_settings("php_version: 8.10").encode(), live)
    assert made.resolve("shop")["php_version"].value == "8.10"


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("yes", True), ("on", True), ("false", False), ("no", False), ("off", False)]
)
def test_a_boolean_may_be_written_in_every_spelling_and_case(word, value):
    for spelling in (word, word.upper(), word.title(), word[:-1] + word[-1].upper(), f"'{word}'", f'"{word.upper()}"'):
        assert value_of(f"varnish_enabled: {spelling}") is value


@pytest.mark.parametrize("word", ["1", "0", "y", "n", "enabled", "''", "tru", "truely"])
def test_other_words_are_no_boolean(word):
    shown = word if word != "''" else "empty"
    assert problem_of(f"varnish_enabled: {word}") == (
        5,
        24,
        f"varnish_enabled cannot be {shown}",
        "It takes true or false",
    )


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(OPEN).flatmap(lambda setting: st.tuples(st.just(setting), texts(setting))))
def test_every_value_of_the_catalogue_can_be_written(pair):
    setting, value = pair
    written = as_text(value)
    if setting.type == "string":
        written = f"'{written}'"
    got = value_of(f"{setting.name}: {written}")
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("line", "place", "message", "hint"),
    [
        (
            "php_version: 9.9",
            20,
            "php_version cannot be 9.9",
            "It takes 5.6, 7.0, 7.1, 7.2, 7.3, 7.4, 8.0, 8.1, 8.2, 8.3, 8.4, 8.5",
        ),
        ("redis_eviction_policy: volatile-lur", 30, "redis_eviction_policy cannot be volatile-lur", "Did you mean vol"),
        ("tideways_sample_rate: ten", 29, "tideways_sample_rate cannot be ten", "It takes a whole number"),
        ("tideways_sample_rate: 1.0", 29, "tideways_sample_rate cannot be 1.0", "It takes a whole number"),
        ("php_versoin: 8.3", 7, "there is no setting php_versoin", "Did you mean php_version?"),
        ("wholly_other: 1", 7, "there is no setting wholly_other", "`hnctl settings describe` lists all"),
        ("<<: {}", 11, "<< must have a single value", None),
        (
            "varnish_secret: env:X",
            7,
            "varnish_secret is read-only: a node's token cannot change it",
            "Change it in the control panel or ask",
        ),
        ("php_version: [8.3]", 20, "php_version must have a single value", None),
        ("php_version: {a: b}", 20, "php_version must have a single value", None),
        (
            "php_version: !!python/none x",
            20,
            "php_version has a YAML tag that is not known here",
            "The only tag is !cl",
        ),
        ("php_version: !Clear", 20, "php_version has a YAML tag that is not known here", "The only tag is !clear"),
        (
            "php_version: !!binary 8.3",
            20,
            "php_version has a YAML tag that is not known here",
            "The only tag is !clear",
        ),
        ("php_version: !clear 8.3", 20, "!clear of php_version takes no value", None),
        (
            "php_version: 8.3\n      php_version: 8.4",
            7,
            "php_version stands twice in the settings of node shop; the first is on line 5",
            None,
        ),
        ("? [a]\n      : b", 9, "a key of the settings of node shop must be a plain word", None),
    ],
)
def test_a_wrong_setting_is_told_with_its_place_and_a_hint(line, place, message, hint):
    found = problem_of(line)
    assert found[:3] == (6 if "twice" in message else 5, place, message)
    assert (found[3] or "").startswith(hint) if hint else found[3] is None


# Secrets


def test_secrets_are_kept_as_references_of_four_kinds(tmp_path, monkeypatch):
    monkeypatch.setenv("NR_KEY", "kept-env")
    (tmp_path / "key").write_text("kept-file")
    (tmp_path / "fleet.yaml").write_text(
        """\
version: 1
nodes:
  a: {settings: {new_relic_secret: env:NR_KEY}}
  b: {settings: {new_relic_secret: file:key}}
  c: {settings: {new_relic_secret: keyring:hnctl/nr}}
  d: {settings: {new_relic_secret: "cmd:pass show 'nr key'"}}
  e: {settings: {new_relic_secret: null}}
"""
    )
    made = load(tmp_path / "fleet.yaml", CATALOGUE)
    found = {node: made.resolve(node)["new_relic_secret"].value for node in "abcd"}
    assert found == {
        "a": Reference("env", "NR_KEY"),
        "b": Reference("file", "key"),
        "c": Reference("keyring", "hnctl/nr"),
        "d": Reference("cmd", "pass show 'nr key'"),
    }
    assert made.resolve("e") == {}
    assert "kept-" not in repr(made)


def test_a_relative_file_starts_from_the_folder_of_the_fleet_file(tmp_path, monkeypatch):
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "key").write_text("canary")
    (folder / "fleet.yaml").write_text("version: 1\nnodes: {a: {settings: {new_relic_secret: file:key}}}")
    monkeypatch.chdir(tmp_path)
    load(folder / "fleet.yaml", CATALOGUE)
    (folder / "key").rename(tmp_path / "key")
    with pytest.raises(FileError) as caught:
        load(folder / "fleet.yaml", CATALOGUE)
    assert str(caught.value) == (
        f"{folder}/fleet.yaml:2:42: new_relic_secret: file:key cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    "literal",
    [
        "hunter2-CANARY",
        "'hunter2-CANARY'",
        "CANARY:with/colon",
        "ENV:CANARY",
        "'env:' # CANARY",
        "123456789",
        "true",
        "|\n        CANARY\n        CANARY",
        "!!str CANARY",
        "!!python/object:CANARY CANARY",
        "!clear CANARY",
        "[CANARY, CANARY]",
        "{CANARY: CANARY}",
        "''",
    ],
)
@pytest.mark.parametrize("setting", [setting.name for setting in SECRET])
def test_a_literal_secret_is_refused_and_shown_nowhere(setting, literal):
    exc = error(in_settings(f"{setting}: {literal}"))
    assert len(exc.problems) == 1
    assert exc.problems[0][:2] == (5, 9 + len(setting))
    for shown in (str(exc), repr(exc), repr(exc.problems), repr(exc.args), str(exc.__cause__), repr(vars(exc))):
        assert "CANARY" not in shown
        assert "123456789" not in shown
    assert exc.__suppress_context__ or exc.__context__ is None


def test_the_refusal_of_a_literal_secret_says_what_to_write():
    assert problem_of("new_relic_secret: abc") == (
        5,
        25,
        "new_relic_secret is secret and may not stand in the file",
        "Write a reference instead: one of env:, file:, keyring:, cmd:",
    )


def test_a_literal_secret_under_a_misspelt_name_or_beside_another_mistake_is_not_shown():
    text = in_settings("new_relic_secrte: CANARY\n      new_relic_secret: CANARY\n      new_relic_secret: CANARY")
    exc = error(text)
    assert len(exc.problems) == 3
    assert "CANARY" not in str(exc)
    # libyaml's own messages name characters, never the text.
    assert "CANARY" not in str(error(in_settings('new_relic_secret: "CANARY')))
    assert "CANARY" not in str(error(in_settings("new_relic_secret: CANARY: CANARY")))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("env:HNCTL_TEST_UNSET", "new_relic_secret: environment variable HNCTL_TEST_UNSET is not set"),
        ("file:/nowhere/key", "new_relic_secret: file:/nowhere/key cannot be read: No such file or directory"),
        ("file:.", "new_relic_secret: file:. is a folder"),
    ],
)
def test_a_reference_that_leads_nowhere_is_told(reference, message):
    assert problem_of(f"new_relic_secret: {reference}") == (5, 25, message, None)


def test_a_file_reference_that_no_file_can_have_is_told_like_any_other():
    assert problem_of('new_relic_secret: "file:a\\0b"')[2].startswith("new_relic_secret: file:a")
    assert problem_of(f"new_relic_secret: file:{'a' * 5000}")[2].startswith("new_relic_secret: file:a")


def test_keyring_and_command_references_are_not_followed_when_the_file_is_read(tmp_path):
    touched = tmp_path / "touched"
    fleet(in_settings(f"new_relic_secret: cmd:touch {touched}"))
    assert not touched.exists()


def test_a_reference_for_a_setting_that_is_not_secret_is_refused():
    assert problem_of("new_relic_app_name: env:NAME") == (
        5,
        27,
        "new_relic_app_name is not secret: it takes its value as it is, not a reference",
        None,
    )


# Keys of the file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nodes: {}", (1, 1, "there is no version", "Begin the file with version: 1")),
        ("version: 2", (1, 10, "this hnctl reads version 1 of the fleet file only", None)),
        ("version: 1.0", (1, 10, "this hnctl reads version 1 of the fleet file only", None)),
        ("version: [1]", (1, 10, "this hnctl reads version 1 of the fleet file only", None)),
        ("version:", (1, 9, "this hnctl reads version 1 of the fleet file only", None)),
        ("- version: 1", (1, 1, "the file must be a mapping of names to values", None)),
        ("just text", (1, 1, "the file must be a mapping of names to values", None)),
        ("version: 1\nnode: {}", (2, 1, "unknown key node in the file", "Did you mean nodes?")),
        (
            "version: 1\nxyzzy: {}",
            (2, 1, "unknown key xyzzy in the file", "Known are version, defaults, groups, nodes, rollout, limits"),
        ),
        ("version: 1\nversion: 1", (2, 1, "version stands twice in the file; the first is on line 1", None)),
        ("version: 1\nnodes: []", (2, 8, "nodes must be a mapping of names to values", None)),
        ("version: 1\nnodes: shop", (2, 8, "nodes must be a mapping of names to values", None)),
        ("version: 1\nnodes: {shop: 5}", (2, 15, "node shop must be a mapping of names to values", None)),
        (
            "version: 1\nnodes: {shop: {setting: {}}}",
            (2, 16, "unknown key setting in node shop", "Did you mean settings?"),
        ),
        (
            "version: 1\nnodes: {shop: {xyzzy: {}}}",
            (
                2,
                16,
                "unknown key xyzzy in node shop",
                "Known are groups, settings, allowlist, allowlist_mode, product, via, ssh",
            ),
        ),
        (
            "version: 1\nnodes: {shop: {settings: [php_version]}}",
            (2, 26, "the settings of node shop must be a mapping of names to values", None),
        ),
        (
            "version: 1\nnodes: {shop: {php_version: 8.3}}",
            (
                2,
                16,
                "unknown key php_version in node shop",
                "Known are groups, settings, allowlist, allowlist_mode, product, via, ssh",
            ),
        ),
        (
            "version: 1\ndefaults: {groups: []}",
            (
                2,
                12,
                "unknown key groups in defaults",
                "Known are settings, allowlist, allowlist_mode, product, via, ssh",
            ),
        ),
        (
            "version: 1\nnodes: {a: , a: }",
            (2, 14, "a stands twice in nodes; the first is on line 2", None),
        ),
        ("version: 1\nnodes: {[a]: }", (2, 9, "a key of nodes must be a plain word", None)),
        (
            "version: 1\ngroups: {all: }",
            (2, 10, "a group cannot be called 'all'", "Use letters, digits, - and _; not the word all"),
        ),
        (
            "version: 1\ngroups: {a b: }",
            (2, 10, "a group cannot be called 'a b'", "Use letters, digits, - and _; not the word all"),
        ),
        (
            "version: 1\ngroups: {magento: }\nnodes: {shop: {groups: [magneto]}}",
            (3, 25, "there is no group magneto", "Did you mean magento?"),
        ),
        ("version: 1\nnodes: {shop: {groups: [magento]}}", (2, 25, "there is no group magento", None)),
        ("version: 1\nnodes: {shop: {groups: magento}}", (2, 24, "groups must be a list", "Write groups: [magento]")),
        ("version: 1\nnodes: {shop: {groups: [[a]]}}", (2, 25, "there is no group of this shape", None)),
        (
            "version: 1\ngroups: {a: }\nnodes: {shop: {groups: [a, a]}}",
            (3, 28, "group a is listed twice", None),
        ),
        ("version: 1\nnodes: {shop: {via: telnet}}", (2, 21, "via must be api, ssh or local", None)),
        ("version: 1\nnodes: {shop: {via: [ssh]}}", (2, 21, "via must be api, ssh or local", None)),
        (
            "version: 1\nnodes: {shop: {ssh: {port: 70000}}}",
            (2, 28, "the port must be a number from 1 to 65535", None),
        ),
        (
            "version: 1\ngroups: {g: {ssh: {host: -oProxyCommand=x}}}",
            (2, 26, "'-oProxyCommand=x' is no host", "Write a name or an address, such as {node}.hypernode.io"),
        ),
        (
            "version: 1\ndefaults: {ssh: {user: a b}}",
            (2, 24, "'a b' is no name of a user", "On a Hypernode it is app"),
        ),
        (
            "version: 1\nnodes: {shop: {ssh: app}}",
            (2, 21, "the ssh of node shop must be a mapping of names to values", None),
        ),
        (
            "version: 1\nnodes: {shop: {ssh: {key: x}}}",
            (2, 22, "unknown key key in the ssh of node shop", "Known are host, port, user"),
        ),
        (
            "version: 1\nrollout: {waves: [1, 10%]}",
            (
                2,
                18,
                "waves must end with 100%, or some nodes would never have their turn",
                "Write waves: [1, 10%, 100%]",
            ),
        ),
        (
            "version: 1\nrollout: {max_failure: 1}",
            (2, 11, "unknown key max_failure in rollout", "Did you mean max_fai"),
        ),
        ("version: 1\nlimits: {max_node: 1}", (2, 10, "unknown key max_node in limits", "Did you mean max_nodes?")),
        ("version: 1\nlimits: [1]", (2, 9, "limits must be a mapping of names to values", None)),
    ],
)
def test_a_mistake_of_form_is_told_with_its_place(text, expected):
    (found,) = problems(text)
    assert found[:3] == expected[:3]
    assert (found[3] or "").startswith(expected[3] or "")
    assert (found[3] is None) == (expected[3] is None)


def test_via_api_is_accepted_everywhere():
    text = "version: 1\ndefaults: {via: api}\ngroups: {g: {via: 'api'}}\nnodes: {shop: {groups: [g], via: api}}"
    assert list(fleet(text).nodes) == ["shop"]


@pytest.mark.parametrize(
    "name", ["../x", "Shop", "SHOP", "a" * 17, "a_b", "a-b", "a.b", "''", "'a\\n'", '"a\\n"', "ü", "a b", "-eph1", "a/"]
)
def test_what_cannot_be_a_node_is_refused(name):
    (problem,) = problems(f"version: 1\nnodes:\n  {name}: ")
    assert problem[:2] == (3, 3)
    assert problem[2].endswith("cannot be the name of a node")
    assert problem[3] == "A name has only a-z and 0-9, at most 16 of them; a Brancher's ends in -eph and its id"


@pytest.mark.parametrize("name", ["a", "a" * 16, "0", "123", "shop2", "shop-eph12ab", "yes", "null"])
def test_what_can_be_a_node_is_accepted_even_if_yaml_reads_it_as_something_else(name):
    assert list(fleet(f"version: 1\nnodes:\n  {name}: ").nodes) == [name]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("version: !x 1", (1, 10)),
        ("version: 1\n!x nodes: {}", (2, 1)),
        ("version: 1\nnodes: !x {}", (2, 8)),
        ("version: 1\nnodes: !!set {}", (2, 8)),
        ("version: 1\nnodes: {!x shop: }", (2, 9)),
        ("version: 1\nnodes: {shop: !!null {}}", (2, 15)),
        ("version: 1\ngroups: {g: }\nnodes: {shop: {groups: !x [g]}}", (3, 24)),
        ("version: 1\ngroups: {g: }\nnodes: {shop: {groups: !!null [g]}}", (3, 24)),
        ("version: 1\ngroups: {g: }\nnodes: {shop: {groups: [!x g]}}", (3, 25)),
        ("version: 1\nnodes: {shop: {via: !x api}}", (2, 21)),
        ("version: 1\nnodes: {shop: {settings: {!x php_version: 8.3}}}", (2, 27)),
        ("version: 1\nlimits: {max_nodes: !x 3}", (2, 21)),
        ("version: 1\nlimits: {max_nodes: !clear }", (2, 21)),
        ("version: 1\nrollout: {max_failures: !!python/int 3}", (2, 25)),
    ],
)
def test_a_tag_that_is_not_ours_is_refused_wherever_it_stands(text, place):
    assert [problem[:2] for problem in problems(text)] == [place]


# Limits and rollout


@pytest.mark.parametrize(
    ("text", "nodes", "changes"),
    [
        ("", None, None),
        ("limits: ", None, None),
        ("limits: {}", None, None),
        ("limits: {max_nodes: , max_changes: ~}", None, None),
        ("limits: {max_nodes: 3}", Share(3), None),
        ("limits: {max_nodes: 0}", Share(0), None),
        ("limits: {max_nodes: 0%}", Share(0, percent=True), None),
        ("limits: {max_nodes: 30%}", Share(30, percent=True), None),
        ("limits: {max_nodes: '100%'}", Share(100, percent=True), None),
        ("limits: {max_changes: 500}", None, 500),
        ("limits: {max_changes: 0}", None, 0),
        ("limits: {max_changes: 999999999}", None, 999_999_999),
    ],
)
def test_limits_are_numbers_or_percentages_and_absent_means_none(text, nodes, changes):
    assert fleet("version: 1\n" + text).limits == Limits(nodes, changes)


_NODES = "max_nodes must be a number from 0, or a percentage up to 100%, such as 10%"
_CHANGES = "max_changes must be a number from 0"
_FAILURES = "max_failures must be a number from 1, or a percentage up to 100%, such as 10%"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        *(
            (f"limits: {{max_nodes: {v}}}", 21, _NODES)
            for v in ("101%", "-1", "1.5", "many", "3 %", "'%'", "'%%'", "[3]")
        ),
        *(
            (f"limits: {{max_nodes: {v}}}", 21, _NODES)
            for v in ("''", "+3", "1_000", "0x3", "1e3", "'٣'", "9999999999")
        ),
        *((f"limits: {{max_changes: {v}}}", 23, _CHANGES) for v in ("10%", "-1", "many", "{}", "1.0")),
        *((f"rollout: {{max_failures: {v}}}", 25, _FAILURES) for v in ("0", "0%", "-1", "101%", "true")),
    ],
)
def test_what_is_no_number_within_its_bounds_is_refused(text, column, message):
    assert problems("version: 1\n" + text) == [(2, column, message, None)]


@pytest.mark.parametrize(("text", "share"), [("1", Share(1)), ("1%", Share(1, True)), ("100%", Share(100, True))])
def test_max_failures_is_read_from_one_on(text, share):
    assert fleet(f"version: 1\nrollout: {{max_failures: {text}}}").rules.max_failures == share
    assert str(share) == text


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 999_999_999), st.booleans())
def test_a_share_reads_back_from_its_text(number, percent):
    share = Share(number % 101 if percent else number, percent)
    assert parse_share(str(share)) == share


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12))
def test_any_text_is_a_share_or_a_value_error(text):
    try:
        share = parse_share(text)
    except ValueError as exc:
        assert str(exc) == "must be a number from 0, or a percentage up to 100%, such as 10%"  # noqa: PT017  # both are right
    else:
        assert re.fullmatch(r"[0-9]{1,9}%?", text)
        assert share.number == int(text.rstrip("%"))


# All problems at once

TEN = """\
version: 7
nods: {}
defaults:
  settings: {php_versoin: 8.3}
groups:
  magento: {via: telnet}
  all: {}
nodes:
  ../x: {}
  shop:
    groups: [magneto]
    settings:
      php_version: 9.9
      new_relic_secret: CANARY
      varnish_enabled: true
      varnish_enabled: false
limits: {max_nodes: 200%}
rollout: {waves: [1]}
"""


def test_ten_different_mistakes_are_all_told_in_one_go_by_position():
    assert str(error(TEN)).replace("\n  hint: ", " => ").splitlines() == [
        "fleet.yaml:1:10: this hnctl reads version 1 of the fleet file only",
        "fleet.yaml:2:1: unknown key nods in the file => Did you mean nodes?",
        "fleet.yaml:4:14: there is no setting php_versoin => Did you mean php_version?",
        "fleet.yaml:6:18: via must be api, ssh or local",
        "fleet.yaml:7:3: a group cannot be called 'all' => Use letters, digits, - and _; not the word all",
        "fleet.yaml:9:3: '../x' cannot be the name of a node => "
        "A name has only a-z and 0-9, at most 16 of them; a Brancher's ends in -eph and its id",
        "fleet.yaml:11:14: there is no group magneto => Did you mean magento?",
        "fleet.yaml:13:20: php_version cannot be 9.9 => "
        "It takes 5.6, 7.0, 7.1, 7.2, 7.3, 7.4, 8.0, 8.1, 8.2, 8.3, 8.4, 8.5",
        "fleet.yaml:14:25: new_relic_secret is secret and may not stand in the file => "
        "Write a reference instead: one of env:, file:, keyring:, cmd:",
        "fleet.yaml:16:7: varnish_enabled stands twice in the settings of node shop; the first is on line 15",
        "fleet.yaml:17:21: max_nodes must be a number from 0, or a percentage up to 100%, such as 10%",
        "fleet.yaml:18:18: waves must end with 100%, or some nodes would never have their turn => "
        "Write waves: [1, 10%, 100%]",
    ]


def test_a_file_that_is_wrong_all_over_tells_a_bounded_number_and_that_there_are_more():
    lines = "".join(f"  n{n}: {{settings: {{php_version: {n}.99}}}}\n" for n in range(1000))
    exc = error("version: 1\nnodes:\n" + lines)
    assert 100 <= len(exc.problems) <= 300
    assert exc.problems[-1].message == "and more: only the first are listed"
    assert all(problem.line <= 1002 for problem in exc.problems), "a place that is not in the file"


def test_many_unknown_groups_among_many_known_ones_are_told_in_reasonable_time():
    import time

    groups = "".join(f"  group{n:05}: {{}}\n" for n in range(4000))
    nodes = "".join(f"  n{n}: {{groups: [groop{n:05}]}}\n" for n in range(300))
    started = time.process_time()
    error(f"version: 1\ngroups:\n{groups}nodes:\n{nodes}")
    assert time.process_time() - started < 3.0


# Anchors


def test_layers_may_share_an_anchor_and_each_tells_the_anchors_place():
    text = """\
version: 1
groups:
  a: {settings: &php {php_version: 8.3}}
  b: {settings: *php}
nodes:
  one: {groups: [a]}
  two: {groups: [b]}
"""
    made = fleet(text)
    assert made.resolve("one")["php_version"] == ("8.3", "group a", 3, 36)
    assert made.resolve("two")["php_version"] == ("8.3", "group b", 3, 36)


def test_a_mistake_in_a_shared_anchor_is_told_once():
    nodes = "".join(f"  n{n}: {{settings: *s}}\n" for n in range(50))
    text = f"version: 1\ndefaults: {{settings: &s {{php_versoin: 8.3}}}}\nnodes:\n{nodes}"
    assert problems(text) == [(2, 26, "there is no setting php_versoin", "Did you mean php_version?")]


def test_a_mistake_in_a_layer_that_nodes_share_as_a_whole_is_told_for_the_first():
    text = "version: 1\nnodes: {a: &x {seting: {}, groups: [g]}, b: *x, c: *x}"
    assert [(line, column, what) for line, column, what, _ in problems(text)] == [
        (2, 16, "unknown key seting in node a"),
        (2, 37, "there is no group g"),
    ]


def test_thousands_of_nodes_may_share_one_anchor_with_all_settings():
    # DESIGN 8 speaks of 10,000 nodes with 80 settings.
    said = ", ".join(f"{s.name}: {as_text(s.values[0])}" for s in OPEN if s.values)
    nodes = "".join(f"  n{n}: {{settings: *all}}\n" for n in range(10_000))
    made = fleet(f"version: 1\ngroups: {{g: {{settings: &all {{{said}}}}}}}\nnodes:\n{nodes}")
    assert len(made.nodes) == 10_000
    assert made.resolve("n9999")["php_version"].value == "5.6"


# Any text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_another_encoding_gives_the_same_fleet_or_a_file_error(encoding):
    text = in_settings("override_sendmail_return_path: ü@shop.example")
    try:
        made = parse(text.encode(encoding), CATALOGUE)
    except FileError as exc:
        assert exc.problems  # noqa: PT017  # either answer is right
    else:
        assert made.resolve("shop")["override_sendmail_return_path"].value == "ü@shop.example"


def test_a_byte_order_mark_and_windows_line_ends_change_nothing():
    text = LAYERED.replace("\n", "\r\n")
    made = parse(b"\xef\xbb\xbf" + text.encode(), CATALOGUE)
    assert [w.value for w in made.layers("own", "php_version")] == ["8.1", "8.2", "8.3", "8.4"]
    assert made.layers("own", "php_version")[-1].line == 14


_keys = ["version", "nodes", "groups", "settings", "limits", "max_nodes", "rollout", "via"]
_names = ["shop", "../x", "g", "php_version", "new_relic_secret"]
_values = [*"~[]{}", "1", "8.3", "30%", "api", "!clear", "!x", "env:X", "file:y", '"file:a\\0"']
_words = st.sampled_from([*_keys, *_names, *_values])
_trees = st.recursive(
    _words,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(_words, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=15,
)


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(st.sampled_from(["version", "defaults", "groups", "nodes", "limits", "rollout", "x"]), _trees))
def test_any_tree_gives_a_fleet_or_a_file_error_with_places(top):
    text = "\n".join(f"{key}: {value}" for key, value in top.items())
    try:
        made = fleet(text)
    except FileError as exc:
        places = [(problem.line, problem.column) for problem in exc.problems]
        assert places
        assert places == sorted(places)
        assert min(places) >= (1, 1)
    else:
        for node in made.nodes:
            made.resolve(node)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(LAYERED) - 1), st.integers(0, 12), st.text("[]{}:,-!&*#'\" \n\tax1", max_size=4))
def test_any_damage_to_a_good_file_gives_a_fleet_or_a_file_error(at, cut, put):
    text = LAYERED[:at] + put + LAYERED[at + cut :]
    try:
        fleet(text)
    except FileError as exc:
        assert str(exc)  # noqa: PT017  # either answer is right


def test_a_file_is_loaded_by_its_path(tmp_path):
    path = tmp_path / "fleet.yaml"
    path.write_text(LAYERED)
    assert load(path, CATALOGUE).path == str(path)
    path.write_text("version: 3")
    with pytest.raises(FileError) as caught:
        load(path, CATALOGUE)
    assert str(caught.value) == f"{path}:1:10: this hnctl reads version 1 of the fleet file only"
    assert caught.value.message == f"{path}: 1 problem"
    path.write_bytes(os.urandom(200) + b"\xff\x00")
    with pytest.raises(FileError):
        load(path, CATALOGUE)


def test_whoever_only_wants_to_know_the_nodes_need_not_have_their_secrets():
    raw = b"version: 1\nnodes: {kaasshop: {settings: {new_relic_secret: 'env:NO_SUCH_VARIABLE'}}}"
    with pytest.raises(FileError):
        parse(raw, CATALOGUE)
    assert list(parse(raw, CATALOGUE, with_secrets=False).nodes) == ["kaasshop"]
    with pytest.raises(FileError) as caught:
        parse(raw.replace(b"env:NO_SUCH_VARIABLE", b"in clear"), CATALOGUE, with_secrets=False)
    assert "is secret and may not stand in the file" in str(caught.value)
