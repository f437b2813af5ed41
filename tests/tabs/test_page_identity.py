"""Identity: a token that we issued is someone, anything else is nobody."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from grader.faults import NotGradable
from tabs.page.identity import LIFE_S, Identities
from tabs.page.ledger import Accounts, Revoked

KEY = b"sixteen bytes and more"


class Clock:
    now = 1_700_000_000.0

    def __call__(self):
        return self.now


def _with(token, place, part):
    parts = token.split(".")
    parts[place] = part
    return ".".join(parts)


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
        pytest.param(lambda token: "hf:ada." + token.split(".", 1)[1], id="other_subject"),
        pytest.param(lambda token: token[:-1], id="cut"),
        pytest.param(lambda token: token + "0" * 300, id="long"),
        pytest.param(lambda token: token.replace(".", ".é"), id="not_ascii"),
        pytest.param(lambda token: token + "\ud800", id="half_a_surrogate"),
        pytest.param(lambda token: " " + token, id="leading_space"),
        pytest.param(lambda token: token.replace(".", "..", 1), id="extra_dot"),
        pytest.param(lambda token: ".".join(token.split(".")[:1] + token.split(".")[4:]), id="the_old_form"),
        pytest.param(lambda token: _with(token, 2, "99999999999"), id="later_end"),
        pytest.param(lambda token: _with(token, 3, "3"), id="other_version"),
        pytest.param(lambda token: _with(token, 1, "0" * 16), id="other_serial"),
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

    assert identities.issue("ada").id == identities.issue("ada").id
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


def test_a_token_ends_by_its_time():
    clock = Clock()
    identities = Identities(KEY, clock=clock)
    token = identities.issue().token

    clock.now += LIFE_S - 1
    assert identities.read(token) is not None
    clock.now += 2
    assert identities.read(token) is None


def test_a_token_that_is_used_lives_on():
    clock = Clock()
    identities = Identities(KEY, clock=clock)
    first = identities.issue()
    clock.now += LIFE_S / 2

    renewed = identities.read(first.token)

    assert (renewed.id, renewed.token == first.token) == (first.id, False)
    clock.now += LIFE_S * 0.75
    assert identities.read(first.token) is None
    assert identities.read(renewed.token).id == first.id


def test_a_revoked_token_is_nobody_and_others_hold(tmp_path):
    clock = Clock()
    revoked = tmp_path / "identity.revoked"
    identities = Identities(KEY, revoked=Revoked(revoked), clock=clock)
    lost, kept = identities.issue("ada"), identities.issue("ada")
    clock.now += LIFE_S / 2
    renewed = identities.read(lost.token)

    assert identities.revoke(lost.token)

    for page in (identities, Identities(KEY, revoked=Revoked(revoked), clock=clock)):  # another process, another day
        assert page.read(lost.token) is None
        assert page.read(renewed.token) is None
        assert page.read(kept.token).id == lost.id
    assert not identities.revoke(lost.token)
    assert not identities.revoke("hf:ada.made.up")


def test_a_token_of_another_version_has_ended(monkeypatch):
    identities = Identities(KEY)
    token = identities.issue().token
    monkeypatch.setattr("tabs.page.identity.VERSION", "3")

    assert identities.read(token) is None


def test_an_account_is_its_id_and_not_its_name(tmp_path):
    """Ada gives her name up; whoever takes it gets nothing of hers, and she keeps what she has under another name."""
    identities = Identities(KEY, accounts=Accounts(tmp_path / "identity.accounts"))
    ada = identities.issue("ada", account_id="17")

    for page in (identities, Identities(KEY, accounts=Accounts(tmp_path / "identity.accounts"))):
        other = page.issue("ada", account_id="99")
        assert other.id != ada.id
        assert page.issue("lovelace", account_id="17").id == ada.id
        assert page.read(other.token).id == other.id


def test_two_pages_give_one_name_once(tmp_path):
    path = tmp_path / "identity.accounts"
    one, two = Accounts(path), Accounts(path)

    assert one.handle("17", "ada") == "ada"
    assert two.handle("99", "ada") != "ada"
    assert two.handle("17", "ada") == "ada"


def test_a_line_that_is_half_written_is_read_once_it_is_whole(tmp_path):
    path = tmp_path / "identity.revoked"
    revoked = Revoked(path)
    path.write_text("abc\nde")
    assert "abc" in revoked and "de" not in revoked

    with path.open("a") as file:
        file.write("f\n")

    assert "def" in revoked


@pytest.mark.process
def test_a_line_that_a_crash_has_torn_takes_no_other_with_it(tmp_path):
    """Otherwise a token that was revoked after it lives again at the next start."""
    path = tmp_path / "identity.revoked"
    path.write_text("aaaa\nbb")

    Revoked(path).add("cccc")

    assert "cccc" in Revoked(path) and "aaaa" in Revoked(path)


def test_what_a_full_disk_takes_half_of_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "identity.accounts"
    kept = Accounts(path)
    assert kept.handle("openid:1", "openid:ada") == "openid:ada"
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: write(fd, data[:-3]))
        with pytest.raises(OSError, match="No space left"):
            kept.handle("openid:2", "openid:grace")

    assert kept.handle("openid:2", "openid:grace") == Accounts(path).handle("openid:2", "") == "openid:grace"


@pytest.mark.process
def test_tokens_are_revoked_from_a_terminal(tmp_path):
    environment = os.environ | {"GRADER_IDENTITY_KEY": KEY.decode(), "PYTHONPATH": str(Path(__file__).parents[2])}
    environment["GRADER_ARCHIVE"] = str(tmp_path / "archive")
    token = Identities(KEY).issue().token

    ran = subprocess.run(
        [sys.executable, "-m", "tabs.page.identity"],
        input=f"{token}\nhf:made.up\n",
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert ran.stdout.splitlines() == ["revoked", "no token of ours, or one that had ended"], ran.stderr
    assert Identities(KEY, revoked=Revoked(tmp_path / "identity.revoked")).read(token) is None
