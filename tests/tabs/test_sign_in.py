"""Sign-in by an OpenID provider, against a stand-in that is a real server: who is let in, and what each failure is told as."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from urllib.parse import urlsplit

import httpx
import openid_provider
import pytest
from driving import free_port
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from playwright.sync_api import expect
from starlette.applications import Starlette

from grader.course import roles
from grader.course.gradebook import accounts, roster
from grader.course.gradebook.book import Book
from grader.faults import NotGradable
from tabs.page.identity import Identities
from tabs.page.openid import Provider, Registration, _trusted
from tabs.page.sign_in import routes

KEY = b"a key for tests, long enough"
OURS = "http://127.0.0.1:7860"
OTHER = ECKey.generate_key("P-256")


def client_of(url):
    return Registration(issuer=url, id=openid_provider.CLIENT, secret=openid_provider.SECRET, address=OURS)


class Browser:
    """Follows where it is sent, and keeps its cookies, as a browser does; the provider is asked over a real connection."""

    def __init__(self, provider, identities):
        self.app = Starlette(routes=routes(identities, provider))
        self.cookies = httpx.Cookies()
        self.web = httpx.Client(verify=_trusted())

    def ask(self, path):
        async def asked():
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=OURS, cookies=self.cookies) as web:
                answer = await web.get(path)
                self.cookies = web.cookies
                return answer

        with ThreadPoolExecutor(1) as thread:  # this one may have Playwright's loop
            return thread.submit(asyncio.run, asked()).result()

    def sent_back(self):
        """Where the provider sends the browser once somebody has signed in."""
        begun = self.ask("/login/openid")
        assert begun.status_code == 302, begun.text
        there = self.web.get(begun.headers["location"]).headers["location"]
        assert there.startswith(f"{OURS}/login/openid/callback?")
        parts = urlsplit(there)
        return f"{parts.path}?{parts.query}"

    def sign_in(self):
        return self.ask(self.sent_back())


@pytest.fixture(scope="module")
def server():
    with openid_provider.serving() as found:
        yield found


@pytest.fixture
def stand_in(server):
    before = dict(vars(server))
    yield server
    vars(server).update(before)


@pytest.fixture
def identities():
    return Identities(KEY, accounts_only=True)


@pytest.fixture
def browser(stand_in, identities):
    return Browser(Provider(client_of(stand_in.url)), identities)


def told(answer):
    return unescape(re.sub(r"<script>.*?</script>|<style>.*?</style>|<[^>]+>", "", answer.text))


def user_in(answer, identities):
    assert answer.status_code == 200, told(answer)
    return identities.read(re.search(r'"attention-labs-token", "([^"]+)"', answer.text)[1])


def test_whoever_signs_in_is_one_user_with_a_token_in_this_browser(browser, identities):
    answer = browser.sign_in()

    assert told(answer) == "Sign inSigned in as ada."
    assert answer.headers["cache-control"] == "no-store"
    assert user_in(answer, identities).id == "openid:ada" == user_in(browser.sign_in(), identities).id
    assert identities.require(user_in(answer, identities).token)
    assert "sign-in" not in browser.cookies


def test_an_account_is_issuer_and_subject_and_not_its_name(stand_in, browser, identities):
    ada = user_in(browser.sign_in(), identities)

    stand_in.person = {"sub": "0017", "preferred_username": "lovelace"}
    assert user_in(browser.sign_in(), identities).id == ada.id
    stand_in.person = {"sub": "99", "preferred_username": "ada"}
    assert user_in(browser.sign_in(), identities).id not in (ada.id, "hf:ada")


def test_the_same_subject_of_another_provider_is_somebody_else(browser, identities):
    ada = user_in(browser.sign_in(), identities)

    with openid_provider.serving() as other:
        assert user_in(Browser(Provider(client_of(other.url)), identities).sign_in(), identities).id != ada.id
    assert identities.issue("ada", account_id="17").id == "hf:ada"  # as Hugging Face's sign-in does, beside it


@pytest.mark.parametrize(
    ("person", "userinfo", "claim", "user"),
    [
        ({"sub": "1"}, {"sub": "1", "preferred_username": "bob"}, "preferred_username", "openid:bob"),
        ({"sub": "1"}, {"sub": "2", "preferred_username": "bob"}, "preferred_username", ""),
        ({"sub": "1", "preferred_username": "a/museum"}, {}, "preferred_username", ""),
        ({"sub": "1", "preferred_username": "\u212aate"}, {}, "preferred_username", ""),
        ({"sub": "1", "preferred_username": "Kate"}, {}, "preferred_username", "openid:kate"),
        ({"sub": "1", "email": "Ada@uni.example", "email_verified": True}, {}, "email", "openid:ada@uni.example"),
        ({"sub": "1", "email": "ada@uni.example"}, {}, "email", ""),
    ],
    ids=["told_apart", "of_somebody_else", "no_name", "kelvin_sign", "capital", "email", "email_not_verified"],
)
def test_a_name_is_the_providers_word_or_none(stand_in, identities, person, userinfo, claim, user):
    stand_in.person, stand_in.userinfo = person, userinfo
    client = Registration(issuer=stand_in.url, id="labs", secret=openid_provider.SECRET, address=OURS, claim=claim)

    found = user_in(Browser(Provider(client), identities).sign_in(), identities).id

    assert found == user or (not user and re.fullmatch(r"openid:[0-9a-f]{12}", found))


def without(name):
    return lambda said: {key: value for key, value in said.items() if key != name}


def having(**changed):
    return lambda said: said | changed


def unsigned(claims):
    whole = jwt.encode({"alg": "ES256"}, claims, OTHER)
    head = "eyJhbGciOiJub25lIn0"  # {"alg":"none"}
    return f"{head}.{whole.split('.')[1]}."


def with_our_secret(claims):
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(openid_provider.SECRET.encode().ljust(32)))


FAULTS = {
    "wrong_state": ("answer", having(state="made-up"), 400, "belongs to another sign-in"),
    "no_state": ("answer", without("state"), 400, "belongs to another sign-in"),
    "other_provider": ("answer", having(iss="https://evil.example"), 400, "of another provider, https://evil.example"),
    "refused": (
        "answer",
        having(error="access_denied", error_description="<b>No</b>"),
        400,
        "did not sign you in: <b>No",
    ),
    "no_code": ("answer", without("code"), 502, "its answer holds no code"),
    "made_up_code": ("answer", having(code="made-up"), 400, "took the code for used or too old"),
    "no_id_token": ("tokens", without("id_token"), 502, "sent no id_token"),
    "wrong_nonce": ("claims", having(nonce="of another sign-in"), 400, "id_token belongs to another sign-in"),
    "no_nonce": ("claims", without("nonce"), 400, "id_token belongs to another sign-in"),
    "expired": ("claims", having(exp=1_700_000_000), 400, "has expired"),
    "never_expires": ("claims", without("exp"), 400, "has expired"),
    "from_the_future": ("claims", having(iat=99_999_999_999), 502, "from the future"),
    "wrong_issuer": ("claims", having(iss="https://evil.example"), 502, "of another issuer, 'https://evil.example'"),
    "wrong_audience": ("claims", having(aud="another service"), 502, "for another service"),
    "wrong_party": ("claims", having(aud=["labs", "b"], azp="b"), 502, "for another service"),
    "nobody": ("claims", having(sub=""), 502, "names nobody"),
    "wrong_signature": ("sign", lambda claims: "signed by another key", 502, "is not signed by 127.0.0.1"),
    "unknown_key": ("sign", lambda claims: jwt.encode({"alg": "ES256", "kid": "x"}, claims, OTHER), 502, "cannot be verified"),
    "not_signed": ("sign", unsigned, 502, "cannot be verified"),
    "signed_with_a_secret": ("sign", with_our_secret, 502, "cannot be verified"),
    "no_token_at_all": ("sign", lambda claims: "a.b", 502, "cannot be verified"),
    "another_name_for_itself": ("about", having(issuer="https://uni.example"), 502, "GRADER_OPENID_ISSUER must be that"),
    "an_address_that_others_read": ("about", having(token_endpoint="http://uni.example/token"), 502, "no safe address"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_is_wrong_signs_nobody_in_and_is_said(stand_in, browser, fault):
    what, change, status, sentence = FAULTS[fault]
    if fault == "wrong_signature":
        change = lambda claims: jwt.encode(stand_in.header, claims, OTHER)  # noqa: E731
    setattr(stand_in, what, change)
    begun = browser.ask("/login/openid")

    answer = browser.sign_in() if begun.status_code == 302 else begun

    assert answer.status_code == status
    assert sentence in told(answer)
    assert "attention-labs-token" not in answer.text
    assert 'href="/login/openid"' in answer.text


def test_an_answer_is_worth_nothing_in_another_browser_and_nothing_twice(stand_in, browser, identities):
    other = Browser(Provider(client_of(stand_in.url)), identities)
    back = browser.sent_back()

    assert "began no sign-in" in told(other.ask(back))
    assert browser.ask(back).status_code == 200
    assert "began no sign-in" in told(browser.ask(back))
    other.ask("/login/openid")
    assert "belongs to another sign-in" in told(other.ask(back))


def test_a_provider_that_is_down_is_said_before_and_after(identities):
    with openid_provider.serving() as stand_in:
        gone = Browser(Provider(client_of(f"http://127.0.0.1:{free_port()}")), identities)
        browser = Browser(Provider(client_of(stand_in.url)), identities)
        back = browser.sent_back()

    for answer in (gone.ask("/login/openid"), browser.ask(back)):
        assert answer.status_code == 502
        assert "127.0.0.1 does not answer (ConnectError); try again in a minute." in told(answer)


def test_a_disk_that_is_full_is_said(stand_in, browser, identities, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(identities._accounts, "_append", full)

    answer = browser.sign_in()

    assert answer.status_code == 502 and "nothing can be written: No space left on device." in answer.text


def test_a_wrong_secret_of_ours_is_said_as_that(stand_in, identities):
    client = Registration(issuer=stand_in.url, id="labs", secret="of last year", address=OURS)

    assert "client id or secret is wrong" in told(Browser(Provider(client), identities).sign_in())


def test_a_provider_may_change_its_keys(stand_in, browser):
    assert browser.sign_in().status_code == 200
    asked = len(stand_in.asked)
    assert browser.sign_in().status_code == 200
    assert stand_in.asked[asked:] == ["/authorize", "/token"]

    stand_in.new_key(RSAKey.generate_key(2048), "RS256")

    assert browser.sign_in().status_code == 200
    assert stand_in.asked[-1] == "/keys"


SET = {
    "GRADER_OPENID_ISSUER": "https://login.uni.example/",
    "GRADER_OPENID_CLIENT": "labs",
    "GRADER_ADDRESS": "https://labs.uni.example",
}


def test_settings_are_whole_or_refused_in_one_sentence():
    assert Registration.read({}) is None
    assert Registration.read(SET) == Registration(
        issuer="https://login.uni.example", id="labs", address="https://labs.uni.example"
    )
    on_a_space = {**SET, "SPACE_HOST": "ada-labs.hf.space,labs.example", "GRADER_ADDRESS": ""}
    assert Registration.read(on_a_space).callback == "https://ada-labs.hf.space/login/openid/callback"
    assert "secret" not in repr(Registration.read({**SET, "GRADER_OPENID_SECRET": "of ours"}))
    for name in ("GRADER_OPENID_CLIENT", "GRADER_ADDRESS"):
        with pytest.raises(NotGradable, match=f"GRADER_OPENID_ISSUER is set, so {name} must be, too"):
            Registration.read({**SET, name: ""})
    for path in ("/labs", "?a", "#b"):
        with pytest.raises(NotGradable, match="GRADER_ADDRESS=.* must end with its host"):
            Registration.read({**SET, "GRADER_ADDRESS": SET["GRADER_ADDRESS"] + path})
    with pytest.raises(NotGradable, match="'http://login.uni.example' must begin with https://"):
        Registration.read({**SET, "GRADER_OPENID_ISSUER": "http://login.uni.example"})


@pytest.mark.parametrize(
    ("environment", "user"),
    [
        ({}, "hf:Ada"),
        (SET, "openid:ada"),
        ({**SET, "OAUTH_CLIENT_ID": "x", "SYSTEM": "spaces"}, "hf:Ada"),
    ],
    ids=["hugging_face", "openid", "both"],
)
def test_a_name_alone_is_of_the_provider_that_people_sign_in_with(monkeypatch, environment, user):
    for name in ("GRADER_OPENID_ISSUER", "OAUTH_CLIENT_ID", "SYSTEM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (student,) = roster.read("student_id,last_name,account\n1,Lovelace,Ada\n")

    assert Book().users_of(student) == (user,)
    assert roles.listed("Ada, hf:Bob, openid:Eve@uni.example, anon-1") == {user, "hf:Bob", "openid:eve@uni.example", "anon-1"}
    assert accounts.kept("hf:Ada") == "Ada"


@pytest.mark.browser
def test_a_learner_signs_in_hands_in_and_signs_out(stand_in, fake_course, open_page, monkeypatch, tmp_path):
    port = free_port()
    settings = {"ISSUER": stand_in.url, "CLIENT": openid_provider.CLIENT, "SECRET": openid_provider.SECRET}
    for name, value in settings.items():
        monkeypatch.setenv(f"GRADER_OPENID_{name}", value)
    monkeypatch.setenv("GRADER_ADDRESS", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("GRADER_IDENTITY_KEY", KEY.decode())
    monkeypatch.setenv("GRADER_ARCHIVE", str(tmp_path / "archive"))  # accounts are kept beside it
    import app

    served = app.build(fake_course)
    _, address, _ = app.launch(
        served, fake_course, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", server_port=port
    )
    try:
        page = open_page("?tab=labs", address=address)
        page.locator("#check").click()
        expect(page.locator("#state")).to_contain_text("Sign in to hand something in.")

        page.get_by_role("link", name="Sign in with 127.0.0.1").click()

        expect(page.locator("#account")).to_contain_text("Signed in as ada.")
        page.locator("#check").click()
        expect(page.locator("#state [data-attempt]")).not_to_have_attribute("data-attempt", "")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("link", name="Sign in with 127.0.0.1")).to_be_visible()
    finally:
        served.close()
