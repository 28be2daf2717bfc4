"""The catalogue: what a person writes becomes a typed value or an error that helps, and every danger is on a card."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernode.catalogue import (
    HAZARDS,
    Catalogue,
    Hazard,
    Risk,
    Setting,
    Value,
    as_text,
    closest,
    looks_secret,
)
from hypernode.errors import InputError, InvalidValue, ReadOnlySetting, UnknownSetting
from hypernode.secrets import Secret

CATALOGUE = Catalogue.bundled()
CANARY = "canary-5e3f0b"

settings = st.sampled_from(sorted(CATALOGUE.values(), key=lambda setting: setting.name))
names = st.sampled_from(sorted(CATALOGUE))


@st.composite
def settings_with_a_value(draw: st.DrawFn) -> tuple[Setting, Value | Secret]:
    setting = draw(settings)
    if setting.secret:
        return setting, Secret(draw(st.text(min_size=1)))
    if setting.values is not None:
        return setting, draw(st.sampled_from(setting.values))
    if setting.type == "integer":
        return setting, draw(st.integers(-(10**17), 10**17))
    return setting, draw(st.text())


live_values = st.lists(st.booleans() | st.integers(0, 300) | st.text(max_size=8), max_size=5)
live_lists = st.dictionaries(
    names | st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True) | st.text(max_size=5),
    live_values
    | st.none()
    | st.text(max_size=3)
    | st.integers()
    | st.lists(st.none() | st.dictionaries(st.text(), st.text())),
    max_size=6,
)


def refused(name: str, text: str, catalogue: Catalogue = CATALOGUE) -> tuple[str, str | None]:
    with pytest.raises(InputError) as caught:
        catalogue.parse(name, text)
    return str(caught.value), caught.value.hint


def same(one: object, other: object) -> bool:
    """Compare with the type: True is not 1, and "4" is not 4."""
    return type(one) is type(other) and one == other


def test_the_catalogue_holds_the_82_known_settings_by_name():
    assert len(CATALOGUE) == 82
    assert list(CATALOGUE) == sorted(CATALOGUE)
    assert all(name == setting.name for name, setting in CATALOGUE.items())
    kinds = [setting.type for setting in CATALOGUE.values()]
    assert (kinds.count("boolean"), kinds.count("enum"), kinds.count("integer"), kinds.count("string")) == (
        49,
        17,
        7,
        9,
    )


def test_the_catalogue_is_read_once():
    assert Catalogue.bundled() is CATALOGUE


def test_every_setting_is_described_and_its_default_is_one_of_its_values():
    for setting in CATALOGUE.values():
        assert setting.description, setting.name
        assert setting.group, setting.name
        if setting.values is not None and setting.default is not None:
            assert any(same(setting.default, value) for value in setting.values), setting.name
        assert not (setting.secret and setting.default), setting.name


def test_the_five_secrets_are_known():
    assert {name for name, setting in CATALOGUE.items() if setting.secret} == {
        "blackfire_server_token",
        "new_relic_secret",
        "php_xdebug_cloud_key",
        "tideways_api_key",
        "varnish_secret",
    }


def test_what_a_token_of_a_node_cannot_change_is_known():
    assert {name for name, setting in CATALOGUE.items() if setting.read_only} == {
        "allow_api_token_usage",
        "monitoring_enabled",
        "mysql_innodb_buffer_pool_size",
        "uses_floating_ip",
        "varnish_secret",
    }


@given(settings_with_a_value())
def test_a_value_that_is_written_and_read_again_is_the_same(case: tuple[Setting, Value | Secret]):
    setting, value = case
    text = value.reveal() if isinstance(value, Secret) else as_text(value)
    assert same(setting.parse(text), value)
    assert same(setting.typed(text), value)
    if not isinstance(value, Secret):
        assert same(setting.typed(value), value)


@given(settings, st.text())
def test_any_text_is_a_value_of_the_right_type_or_refused(setting: Setting, text: str):
    try:
        value = setting.parse(text)
    except InvalidValue:
        return
    if setting.secret:
        assert isinstance(value, Secret)
    elif setting.values is not None:
        assert any(same(value, allowed) for allowed in setting.values)
    else:
        assert type(value) is (int if setting.type == "integer" else str)


@given(settings, st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()))
def test_any_answer_of_the_api_can_be_typed_and_a_secret_stays_one(setting: Setting, raw: Any):
    value = setting.typed(raw)
    if setting.secret:
        assert value is None or isinstance(value, Secret)
    assert value is None or isinstance(value, bool | int | str | Secret)


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "yes", "Yes", "on", "ON"])
def test_every_spelling_of_true_is_true(text: str):
    assert CATALOGUE.parse("varnish_enabled", text) is True
    assert CATALOGUE["varnish_enabled"].typed(text) is True


@pytest.mark.parametrize("text", ["false", "False", "FALSE", "no", "No", "off", "oFF"])
def test_every_spelling_of_false_is_false(text: str):
    assert CATALOGUE.parse("varnish_enabled", text) is False
    assert CATALOGUE["varnish_enabled"].typed(text) is False


@pytest.mark.parametrize("text", ["1", "0", "y", "n", "", "truee", "none", " true"])
def test_any_other_word_is_no_boolean(text: str):
    message, hint = refused("varnish_enabled", text)
    assert message == f"varnish_enabled cannot be {text or 'empty'}"
    assert hint == "It takes true or false"


def test_versions_are_texts():
    assert same(CATALOGUE.parse("php_version", "8.1"), "8.1")
    assert same(CATALOGUE.parse("opensearch_version", "2.12"), "2.12")
    assert same(CATALOGUE["opensearch_version"].typed(2.12), "2.12")
    assert same(CATALOGUE["mysql_ft_min_word_len"].typed(4), "4")
    assert same(CATALOGUE["nodejs_version"].typed(22), "22")
    for near in ("8.10", "8.1.0", "8", "08.1", "8.1 "):
        refused("php_version", near)


def test_a_number_that_the_api_answers_as_a_text_is_a_number():
    assert same(CATALOGUE["varnish_http_max_hdr"].typed("64"), 64)
    assert same(CATALOGUE["autoscale_trigger_load_percentage"].typed("70"), 70)
    assert same(CATALOGUE.parse("autoscale_trigger_load_percentage", "70"), 70)


def test_an_answer_of_another_type_comes_back_as_its_text():
    assert CATALOGUE["varnish_http_max_hdr"].typed("many") == "many"
    assert CATALOGUE["varnish_enabled"].typed("maybe") == "maybe"
    assert CATALOGUE["php_version"].typed("9.9") == "9.9"
    assert CATALOGUE["php_version"].typed(None) is None
    assert CATALOGUE["new_relic_secret"].typed("") is None


def test_a_refused_value_comes_with_the_allowed_ones_and_the_nearest():
    message, hint = refused("opensearch_version", "2.120")
    assert message == "opensearch_version cannot be 2.120"
    assert hint == "Did you mean 2.12? It takes 1.x, 2.6, 2.12, 2.19, 3.3"
    message, hint = refused("redis_eviction_policy", "VOLATILE-LRU")
    assert message == "redis_eviction_policy cannot be VOLATILE-LRU"
    assert (hint or "").startswith("Did you mean volatile-lru? It takes noeviction, allkeys-lru, ")
    assert refused("varnish_http_max_hdr", "7") == (
        "varnish_http_max_hdr cannot be 7",
        "It takes 32, 64, 128, 256",
    )
    assert refused("varnish_http_max_hdr", "x") == ("varnish_http_max_hdr cannot be x", "It takes 32, 64, 128, 256")


@pytest.mark.parametrize("text", ["", "x", "1.5", "+3", "1_000", "٣", "9" * 19, "0x10", "1e3"])
def test_only_a_whole_number_is_one(text: str):
    message, hint = refused("autoscale_trigger_load_percentage", text)
    assert message == f"autoscale_trigger_load_percentage cannot be {text or 'empty'}"
    assert hint == "It takes a whole number"


def test_a_free_text_takes_any_text():
    assert CATALOGUE.parse("new_relic_app_name", "Käse & Söhne") == "Käse & Söhne"
    assert CATALOGUE["new_relic_app_name"].takes() == "It takes any text"


def test_a_secret_value_is_wrapped_and_never_shown():
    value = CATALOGUE.parse("new_relic_secret", CANARY)
    assert value == Secret(CANARY)
    assert CANARY not in repr(value)
    assert CATALOGUE["new_relic_secret"].typed(CANARY) == Secret(CANARY)
    assert refused("new_relic_secret", "") == ("new_relic_secret cannot be empty", None)


def test_an_unknown_name_comes_with_the_nearest_one():
    assert refused("php_verson", "8.3") == ("there is no setting php_verson", "Did you mean php_version?")
    assert refused("quux", "8.3") == (
        "there is no setting quux",
        "`hnctl settings describe` lists all; --refresh asks the API",
    )
    with pytest.raises(UnknownSetting):
        CATALOGUE.find("quux")


@pytest.mark.parametrize("name", [name for name, setting in CATALOGUE.items() if setting.read_only])
def test_a_read_only_setting_is_refused_whatever_the_value(name: str):
    with pytest.raises(ReadOnlySetting) as caught:
        CATALOGUE.parse(name, "true")
    assert str(caught.value) == f"{name} is read-only: a node's token cannot change it"
    assert caught.value.hint == "Change it in the control panel or ask support@hypernode.com"
    with pytest.raises(ReadOnlySetting):
        CATALOGUE.writable(name)


def test_the_nearest_word_is_near():
    assert closest("PHP_VERSION", ["php_version", "mysql_version"]) == "php_version"
    assert closest("zzz", ["php_version"]) is None
    assert closest("x", []) is None


@pytest.mark.parametrize(
    "name", ["api_key", "apikey", "some_token", "db_password", "private_key_x", "a_secret", "cloud_key"]
)
def test_a_field_that_nobody_describes_is_masked_by_its_name(name: str):
    assert looks_secret(name)
    assert not looks_secret("php_version")
    assert not looks_secret("redis_keys_enabled")


# The danger list of CONTRACT.md 3: setting, new value, hazards that need a confirmation of their own.
DANGERS = [
    ("mysql_version", "8.0", ("irreversible",)),
    ("mysql_version", "5.7", ("irreversible",)),
    ("mysql_version", None, ("irreversible",)),
    ("elasticsearch_version", "7.x", ("destroys_data",)),
    ("opensearch_version", "2.19", ("destroys_data",)),
    ("redis_version", "7.x", ("destroys_data",)),
    ("valkey_enabled", True, ("destroys_data",)),
    ("valkey_enabled", False, ("destroys_data",)),
    ("openvpn_enabled", False, ("destroys_data",)),
    ("openvpn_enabled", None, ("destroys_data",)),
    ("openvpn_enabled", True, ()),
    ("password_auth", False, ("locks_out",)),
    ("password_auth", None, ("locks_out",)),
    ("password_auth", True, ()),
    ("modern_ssh_config_enabled", True, ("locks_out",)),
    ("modern_ssh_config_enabled", False, ()),
    ("php_version", "8.4", ()),
    ("varnish_enabled", False, ()),
]


@pytest.mark.parametrize(("name", "value", "hazards"), DANGERS)
def test_a_dangerous_change_is_on_the_risk_card_in_its_direction(
    name: str, value: Value | None, hazards: tuple[str, ...]
):
    assert CATALOGUE[name].risk.hazards(value) == hazards


def test_no_setting_outside_the_danger_list_needs_a_confirmation():
    dangerous = {name for name, _, hazards in DANGERS if hazards}
    for name, setting in CATALOGUE.items():
        risky = any(getattr(setting.risk, hazard) is not None for hazard in HAZARDS)
        assert risky == (name in dangerous), name


def test_every_hazard_is_put_in_words():
    for setting in CATALOGUE.values():
        for hazard in (setting.risk.irreversible, setting.risk.destroys_data, setting.risk.locks_out):
            assert hazard is None or hazard.text.endswith("."), setting.name


def test_the_varnish_sizes_restart_varnish():
    assert {name for name, setting in CATALOGUE.items() if setting.risk.restarts} == {
        "varnish_http_max_hdr",
        "varnish_http_req_hdr_len",
        "varnish_http_resp_hdr_len",
        "varnish_http_resp_size",
        "varnish_workspace_backend",
    }
    assert {setting.risk.restarts for setting in CATALOGUE.values()} == {None, "varnish"}


def test_what_swallows_mail_or_cuts_ftp_says_so():
    assert "no mail" in (CATALOGUE["mailhog_enabled"].risk.note or "")
    assert "FTP" in (CATALOGUE["firewall_block_ftp_enabled"].risk.note or "")


def test_the_services_that_depend_on_the_product_say_so():
    for name in ("elasticsearch_enabled", "rabbitmq_enabled", "varnish_enabled"):
        assert any(need.startswith("product:") for need in CATALOGUE[name].risk.needs), name
    assert CATALOGUE["phpmyadmin_enabled"].risk.needs == ("allowlist:phpmyadmin",)
    for setting in CATALOGUE.values():
        for need in setting.risk.needs:
            kind, _, target = need.partition(":")
            assert kind in ("setting", "product", "value", "allowlist", "account", "feature", "node"), setting.name
            if kind == "setting":
                assert target.partition("=")[0] in CATALOGUE, setting.name


def test_what_the_docs_dropped_is_marked():
    assert [name for name, setting in CATALOGUE.items() if setting.removed_from_docs] == ["datadog_enabled"]


def test_hazards_are_listed_worst_first():
    risk = Risk(locks_out=Hazard("x"), irreversible=Hazard("y"), destroys_data=Hazard("z", when=False))
    assert risk.hazards(False) == ("irreversible", "destroys_data", "locks_out")
    assert risk.hazards(True) == ("irreversible", "locks_out")


def test_the_live_list_adds_settings_and_values():
    live = CATALOGUE.overlay({"php_version": ["8.5", "8.6"], "brand_new": ["a", "b"], "new_flag": [True, False]})
    assert live.parse("php_version", "8.6") == "8.6"
    assert live.parse("php_version", "5.6") == "5.6"
    assert live.parse("brand_new", "b") == "b"
    assert live.parse("new_flag", "on") is True
    assert live["brand_new"].live_only
    assert live["brand_new"].description == "Known from the API's own list only."
    assert not live["php_version"].live_only
    assert refused("brand_new", "c", live) == ("brand_new cannot be c", "It takes a, b")
    with pytest.raises(UnknownSetting):
        CATALOGUE.find("brand_new")
    refused("php_version", "8.6")


def test_the_form_that_the_api_lists_is_the_form_that_is_sent():
    """The types of some numbers are doubtful (CONTRACT.md 3): the element of the live list counts."""
    live = CATALOGUE.overlay({"varnish_http_max_hdr": ["32", "64"], "mysql_ft_min_word_len": [4, 2]})
    assert same(live.parse("varnish_http_max_hdr", "64"), "64")
    assert same(live["varnish_http_max_hdr"].typed(64), "64")
    assert same(live.parse("varnish_http_max_hdr", "128"), 128)
    assert same(live.parse("mysql_ft_min_word_len", "4"), 4)


def test_the_live_list_types_what_only_it_knows():
    live = CATALOGUE.overlay(
        {"a_number": [1, 2], "a_text": [], "a_null": None, "some_api_key": None, "key_mode": ["x"]}
    )
    assert live["a_number"].type == "integer"
    assert same(live.parse("a_number", "2"), 2)
    assert (live["a_text"].type, live["a_text"].values) == ("string", None)
    assert live.parse("a_null", "anything") == "anything"
    assert live["some_api_key"].secret
    assert live.parse("some_api_key", CANARY) == Secret(CANARY)
    assert not live["key_mode"].secret


@given(live_lists)
def test_the_live_list_only_ever_adds(listed: dict[str, Any]):
    live = CATALOGUE.overlay(listed)
    assert set(CATALOGUE) <= set(live) <= set(CATALOGUE) | set(listed)
    assert list(live) == sorted(live)
    for name, known in CATALOGUE.items():
        seen = live[name]
        assert (seen.type, seen.risk, seen.secret, seen.read_only, seen.default, seen.description) == (
            (known.type, known.risk, known.secret, known.read_only, known.default, known.description)
        )
        if known.values is None:
            assert seen.values is None
        else:
            assert {as_text(value) for value in known.values} <= {as_text(value) for value in seen.values or ()}


@given(live_lists)
def test_laying_the_same_list_over_twice_changes_nothing_more(listed: dict[str, Any]):
    def known(catalogue: Catalogue) -> dict[str, Any]:
        return {name: (one.type, {as_text(value) for value in one.values or ()}) for name, one in catalogue.items()}

    once = CATALOGUE.overlay(listed)
    assert known(once.overlay(listed)) == known(once)


@given(live_lists)
def test_every_listed_value_can_then_be_written(listed: dict[str, Any]):
    live = CATALOGUE.overlay(listed)
    for name, values in listed.items():
        if isinstance(values, list) and name in live and live[name].type == "enum":
            for value in values:
                if isinstance(value, bool | int | str):
                    assert as_text(live[name].parse(as_text(value))) == as_text(value)


def test_an_empty_live_list_changes_nothing():
    assert dict(CATALOGUE.overlay({})) == dict(CATALOGUE)
