import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.errors import BadSettingsError
from runtime.settings import CommonSettings
from state.address import Form, parse_address
from state.client import open_redis
from tests.deploy.k8s_manifests import ROOT

HOSTS = st.lists(
    st.tuples(
        st.one_of(
            st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z0-9]{1,10})?", fullmatch=True),
            st.ip_addresses(v=4).map(str),
            st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
        ),
        st.one_of(st.none(), st.integers(1, 65_535)),
    ),
    min_size=1,
    max_size=6,
)
WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1, max_size=20)


def test_one_redis() -> None:
    address = parse_address("redis://campus:secret@redis:6380/2?socket_timeout=5")
    assert (address.form, address.hosts, address.encrypted) == (Form.SINGLE, (("redis", 6380),), False)
    assert address.options == {"username": "campus", "password": "secret", "db": 2, "socket_timeout": 5.0}


def test_a_socket() -> None:
    address = parse_address("unix:///run/with%20space/redis.sock?db=1")
    assert (address.form, address.hosts) == (Form.SINGLE, ())
    assert address.options == {"path": "/run/with space/redis.sock", "db": 1}


def test_the_primary_that_sentinel_names() -> None:
    address = parse_address(
        "redis+sentinel://campus:a%2Fb@one,two:26380,[::1]:26381/main/3?sentinel_username=watch&sentinel_password=dog"
    )
    assert (address.form, address.service) == (Form.SENTINEL, "main")
    assert address.hosts == (("one", 26379), ("two", 26380), ("::1", 26381))
    assert address.options == {"username": "campus", "password": "a/b", "db": 3}
    assert address.sentinel_options == {"username": "watch", "password": "dog"}


def test_the_masters_of_a_cluster() -> None:
    address = parse_address("redis+cluster://campus:secret@one,10.0.0.2:7001")
    assert (address.form, address.hosts) == (Form.CLUSTER, (("one", 6379), ("10.0.0.2", 7001)))
    assert address.options == {"username": "campus", "password": "secret"}


@pytest.mark.parametrize("form", ["", "+sentinel", "+cluster"])
def test_encrypted_ones_trust_the_authorities_of_redis_ca(form: str, authority: Path) -> None:
    path = "/main" if form == "+sentinel" else ""
    address = parse_address(f"rediss{form}://one{path}", authority)
    assert address.encrypted
    assert address.options["ssl_ca_certs"] == str(authority)
    assert form != "+sentinel" or address.sentinel_options["ssl_ca_certs"] == str(authority)


def test_an_address_that_names_an_authority_itself_keeps_it(authority: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(authority.read_bytes())
    assert parse_address(f"rediss://one?ssl_ca_certs={other}", authority).options["ssl_ca_certs"] == str(other)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://one", "it has to begin with redis://"),
        ("redis", "it has to begin with redis://"),
        ("redis+replica://one", "it has to begin with redis://"),
        ("unix+cluster:///run/redis.sock", "it has to begin with redis://"),
        ("unix://", "the path of the socket is missing"),
        ("redis://one,two", "several hosts are for redis+sentinel:// and redis+cluster:// alone"),
        ("redis://", "host 1 is none"),
        ("redis+cluster://one,,two", "host 2 is none"),
        ("redis+cluster://one:70000", "the port of host 1 is none: 1 to 65535"),
        ("redis+cluster://one:", "the port of host 1 is missing"),
        ("redis+cluster://[::1", "it cannot be read"),
        ("redis+cluster://::1", "host 1 is none"),
        ("redis+cluster://one/1", "a Redis Cluster has one database alone, 0"),
        ("redis+sentinel://one", "the service of Sentinel is missing"),
        ("redis+sentinel://one/main/zero", "what follows the host is the number of a database"),
        ("redis://one/zero", "what follows the host is the number of a database"),
        ("redis://one?socket_timeout=soon", "the value of one of its options is wrong"),
        ("redis://one?colour=blue", "colour is no option of a connection"),
        ("redis://one?parser_class=os", "parser_class cannot be chosen"),
        ("redis+sentinel://one/main?sentinel_colour=blue", "colour is no option of a connection"),
        # A password that is not percent-encoded.
        ("redis://campus:secret/secret@one", "the port of host 1 is none"),
        ("redis://campus:[secret@one", "it cannot be read"),
        ("redis://campus:secret@one:secret", "the port of host 1 is none"),
        ("redis+cluster://campus:secret@one?password=secret&secret=1", "is no option of a connection"),
    ],
)
def test_one_that_is_wrong_is_said_in_a_sentence(url: str, says: str) -> None:
    with pytest.raises(BadSettingsError) as said:
        parse_address(url)
    assert str(said.value).startswith("REDIS_URL: ")
    assert says in str(said.value)
    assert "secret/" not in str(said.value)
    assert said.value.__cause__ is None or "secret@" not in str(said.value.__cause__)


def test_an_authority_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (empty := tmp_path / "empty.pem").touch()
    for file in (empty, tmp_path / "none.pem"):
        with pytest.raises(BadSettingsError, match=r"REDIS_CA: .* is no file of certificates"):
            parse_address("rediss+cluster://one", file)
    with pytest.raises(BadSettingsError, match="REDIS_CA is for encrypted connections alone"):
        parse_address("redis://one", empty)


@given(
    hosts=HOSTS,
    encrypted=st.booleans(),
    user=WORDS,
    password=WORDS,
    form=st.sampled_from([Form.SENTINEL, Form.CLUSTER]),
)
@example(hosts=[("one", None)], encrypted=False, user="a@b:c/d?e#f", password="[::1],%", form=Form.SENTINEL)  # noqa: S106 - one that has to be encoded
def test_whatever_is_written_by_the_rules_is_read_as_it_was_meant(
    *, hosts: list[tuple[str, int | None]], encrypted: bool, user: str, password: str, form: Form
) -> None:
    scheme = f"redis{'s' if encrypted else ''}+{form.name.lower()}"
    where = ",".join(host if port is None else f"{host}:{port}" for host, port in hosts)
    path = "/main" if form is Form.SENTINEL else ""
    address = parse_address(f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{where}{path}")
    default = 26379 if form is Form.SENTINEL else 6379
    assert address.hosts == tuple((host.strip("[]"), port or default) for host, port in hosts)
    assert (address.form, address.encrypted) == (form, encrypted)
    assert (address.options["username"], address.options["password"]) == (user, password)
    assert repr(password) not in repr(address) or len(password) < 3


@given(
    st.text(max_size=60),
    st.sampled_from(["", "redis://", "rediss://", "unix://", "redis+sentinel://", "redis+cluster://"]),
)
def test_nothing_else_happens_than_a_sentence(text: str, scheme: str) -> None:
    with suppress(BadSettingsError):
        parse_address(scheme + text)


@pytest.mark.parametrize("url", ["redis+cluster://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/main", "redis://one:0"])
async def test_opening_does_not_wait_for_redis(url: str) -> None:
    if url.endswith(":0"):
        with pytest.raises(BadSettingsError, match="REDIS_URL"):
            async with open_redis(CommonSettings(redis_url=url)):
                pass
    else:
        async with open_redis(CommonSettings(redis_url=url)) as client:
            assert client is not None


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    subprocess.run([ROOT / "haproxy" / "certificate", folder], check=True, stdout=subprocess.DEVNULL)
    return folder / "ca.pem"
