"""Identity: a token that we issued is someone, anything else is nobody."""

from __future__ import annotations

import stat

import pytest

from grader.faults import NotGradable
from tabs.page.identity import Identities

KEY = b"sixteen bytes and more"


def test_a_token_is_read_back():
    identities = Identities(KEY)
    user = identities.issue()

    assert identities.read(user.token) == user
    assert identities.issue().id != user.id


def test_the_user_id_does_not_give_the_token_away():
    user = Identities(KEY).issue()

    assert user.id.startswith("anon-")
    assert user.id.removeprefix("anon-") not in user.token
    assert user.token.split(".")[0] not in user.id


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda token: "", id="empty"),
        pytest.param(lambda token: None, id="none"),
        pytest.param(lambda token: {"token": token}, id="not_text"),
        pytest.param(lambda token: "ada", id="made_up"),
        pytest.param(lambda token: "hf:ada." + token.split(".")[1], id="other_subject"),
        pytest.param(lambda token: token[:-1], id="cut"),
        pytest.param(lambda token: token + "0" * 300, id="long"),
        pytest.param(lambda token: token.replace(".", ".é"), id="not_ascii"),
    ],
)
def test_a_forged_token_is_nobody(forge):
    identities = Identities(KEY)
    forged = forge(identities.issue().token)

    assert identities.read(forged) is None
    with pytest.raises(NotGradable, match="no valid token"):
        identities.require(forged)


def test_another_key_reads_nothing():
    assert Identities(b"another key, as long").read(Identities(KEY).issue().token) is None


def test_an_account_is_one_user():
    identities = Identities(KEY, accounts_only=True)

    assert identities.issue("ada") == identities.issue("ada")
    assert identities.require(identities.issue("ada").token).id == "hf:ada"
    with pytest.raises(NotGradable, match="Sign in"):
        identities.require(identities.issue().token)


def test_a_nobody_cannot_take_an_accounts_id():
    assert not Identities(KEY).issue().id.startswith("hf:")


def test_the_key_is_made_once_and_kept_private(tmp_path, monkeypatch):
    monkeypatch.delenv("GRADER_IDENTITY_KEY", raising=False)
    monkeypatch.delenv("OAUTH_CLIENT_ID", raising=False)
    file = tmp_path / "var" / "key"

    token = Identities.from_environment(file).issue().token

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Identities.from_environment(file).read(token) is not None


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="key of 5 bytes must have at least 16"):
        Identities(b"short")
