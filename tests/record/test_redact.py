"""Promises of the redaction: what is taken out, what is left alone, and at what price.

The secrets here are made up, and put together from pieces, so that no scanner takes this file
for a leak.
"""

import base64
import hashlib
import json
import random
import re
import string
import subprocess
import sys
import time
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipysession.errors import InvalidRequest
from ipysession.record.redact import DEFAULT_NAMES, Redactor

REDACTOR = Redactor()


def made(length, alphabet=string.ascii_letters + string.digits, seed=0):
    """A made-up token; it holds a digit, a small and a capital letter."""
    chosen = random.Random(f"{length}{alphabet}{seed}").choices(alphabet, k=length - 3)
    return "".join(chosen) + "7kQ"


AWS_KEY = "AKIA" + "IOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890"}', bytes(range(100, 132)))
)
PEM_BODY = "\n".join(base64.b64encode(bytes([n] * 48)).decode() for n in range(1, 9))
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}\n-----END RSA PRIVATE KEY-----"
SSH = PEM.replace("RSA", "OPENSSH")

FORMS = {
    "aws-access-key": [AWS_KEY, "ASIA" + "IOSFODNN7EXAMPLE"],
    "github-token": [
        *(f"{prefix}_{made(36)}" for prefix in ("ghp", "gho", "ghu", "ghs", "ghr")),
        "github_pat_" + made(22) + "_" + made(59),
    ],
    "gitlab-token": ["glpat-" + made(20), "glpat-" + made(27) + ".01.1a2b3c4d5"],
    "google-api-key": ["AIza" + made(35)],
    "google-oauth": ["GOCSPX-" + made(28), "ya29." + made(60)],
    "slack-token": [
        *(f"xox{kind}-123456789012-" + made(24) for kind in "abeoprs"),
        "xoxe.xoxp-1-" + made(40),
        "xapp-1-A012-" + made(40),
    ],
    "stripe-key": ["sk_live_" + made(24), "rk_live_" + made(24)],
    "openai-key": [
        "sk-" + made(48),
        "sk-proj-" + made(40) + "_" + made(20),
        "sk-svcacct-" + made(40),
    ],
    "anthropic-key": ["sk-ant-api03-" + made(93) + "AA"],
    "huggingface-token": ["hf_" + made(34)],
    "npm-token": ["npm_" + made(36)],
    "pypi-token": ["pypi-AgEIcHlwaS5vcmc" + made(80)],
    "jwt": [JWT],
    "private-key": [PEM, SSH, PEM.replace("RSA ", ""), PEM.replace("\n", "\\n")],
}
EVERY_FORM = [(kind, secret) for kind, secrets in FORMS.items() for secret in secrets]

SETTINGS = {
    "alone": "{}",
    "in quotes": 'client = Client("{}")',
    "in prose": "use {} for this.",
    "on a line": "first\n{}\nlast",
    "in a repr after backslash-n": "'first\\n{}\\nlast'",
    "in JSON in a string": '"{{\\"x\\": \\"{}\\"}}"',
    "in a coloured traceback": "\x1b[38;5;186m{}\x1b[39m",
    "in a URL": "https://example.com/?x={}&y=1",
    "in a shell": "curl -H 'X-Thing: {}' https://example.com",
    "in HTML": "<td>{}</td>",
    "percent-encoded": "x%3D{}%26",
    "twice": "{0} {0}",
}


def redacted(text):
    """The redacted text, after making sure that redacting it again changes nothing."""
    new, counts = REDACTOR.text(text)
    assert REDACTOR.text(new) == (new, {}), "redaction is not idempotent"
    assert sum(counts.values()) == len(re.findall(r"\[redacted:", new)) - text.count("[redacted:")
    return new


class TestKindsWithAForm:
    @pytest.mark.parametrize("setting", SETTINGS)
    @pytest.mark.parametrize(("kind", "secret"), EVERY_FORM)
    def test_a_secret_is_replaced_by_its_kind_wherever_it_stands(self, kind, secret, setting):
        template = SETTINGS[setting]
        assert redacted(template.format(secret)) == template.format(f"[redacted:{kind}]")

    def test_the_counts_tell_how_many_of_each_kind_were_taken_out(self):
        text = f"{AWS_KEY} {JWT} {JWT} {PEM}"
        _, counts = REDACTOR.text(text)
        assert counts == {"aws-access-key": 1, "jwt": 2, "private-key": 1}

    def test_an_aws_secret_is_found_near_its_key_id(self):
        csv = f"Access key ID,Secret access key\n{AWS_KEY},{AWS_SECRET}\n"
        assert AWS_SECRET not in redacted(csv)
        assert redacted(csv).endswith("\n[redacted:aws-access-key],[redacted:aws-secret-key]\n")

    def test_an_aws_secret_is_found_by_its_name(self):
        text = f"aws_secret_access_key = {AWS_SECRET}"
        assert redacted(text) == "aws_secret_access_key = [redacted:aws-secret-key]"

    def test_a_git_commit_near_an_aws_key_id_stays(self):
        commit = hashlib.sha1(b"x").hexdigest()
        assert commit in redacted(f"{AWS_KEY} deployed {commit}")

    def test_a_private_key_without_its_end_is_taken_out_as_far_as_it_goes(self):
        text = PEM.partition("-----END")[0] + "and then prose\n"
        assert redacted(text) == "[redacted:private-key]\nand then prose\n"

    def test_a_private_key_in_a_concatenation_of_python_strings_is_found(self):
        lines = PEM.splitlines()
        text = "key = (\n" + "\n".join(f'    "{line}\\n"' for line in lines) + "\n)"
        assert not any(line in redacted(text) for line in lines[1:-1])

    def test_an_encrypted_private_key_is_found(self):
        head = "-----BEGIN RSA PRIVATE KEY-----\n"
        text = PEM.replace(head, head + "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,12AB\n\n")
        assert redacted(text) == "[redacted:private-key]"

    def test_a_program_that_only_knows_what_a_private_key_looks_like_stays(self):
        text = (
            'if text.startswith("-----BEGIN RSA PRIVATE KEY-----"):\n'
            '    end = text.index("-----END RSA PRIVATE KEY-----")'
        )
        assert redacted(text) == text

    def test_a_public_key_and_a_certificate_stay(self):
        for name in ("PUBLIC KEY", "CERTIFICATE"):
            text = PEM.replace("RSA PRIVATE KEY", name)
            assert redacted(text) == text

    def test_a_slack_webhook_loses_its_secret_path(self):
        text = "https://hooks.slack.com/services/T0000/B0000/" + made(24)
        assert redacted(text) == "https://hooks.slack.com/services/[redacted:slack-webhook]"


class TestAuthorization:
    @pytest.mark.parametrize(
        ("text", "left"),
        [
            ("Authorization: Bearer {}", "Authorization: Bearer {}"),
            ("authorization: bearer {}", "authorization: bearer {}"),
            ("Proxy-Authorization: Basic {}", "Proxy-Authorization: Basic {}"),
            ("{{'Authorization': 'Bearer {}'}}", "{{'Authorization': 'Bearer {}'}}"),
            ('headers["Authorization"] = "token {}"', 'headers["Authorization"] = "token {}"'),
            ('curl -H "Authorization: Bearer {}" x', 'curl -H "Authorization: Bearer {}" x'),
            ('{{"Authorization": "{}"}}', '{{"Authorization": "{}"}}'),
            ("got Bearer {} from it", "got Bearer {} from it"),
            (
                'h = {{\\"Authorization\\": \\"Basic {}\\"}}',
                'h = {{\\"Authorization\\": \\"Basic {}\\"}}',
            ),
        ],
    )
    def test_the_credentials_of_a_header_are_taken_out_and_its_scheme_stays(self, text, left):
        assert redacted(text.format(made(24))) == left.format("[redacted:authorization]")

    def test_a_short_basic_credential_is_taken_out(self):
        credential = base64.b64encode(b"bob:pw1").decode()
        assert credential not in redacted(f"Authorization: Basic {credential}")

    @pytest.mark.parametrize(
        "text",
        [
            "Basic English for beginners",
            "the bearer of good news",
            "Bearer authentication is required",
            'headers = {"Authorization": f"Bearer {token}"}',
            'headers = {"Authorization": "Bearer " + token}',
            'headers = {"Authorization": header}',
            "Authorization: Bearer <token>",
            "Authorization: Bearer ${TOKEN}",
            "authorization: required",
            "Authorization failed for user bob",
            "WWW-Authenticate: Basic realm=example",
        ],
    )
    def test_talk_about_headers_stays(self, text):
        assert redacted(text) == text


class TestConnectionStrings:
    @pytest.mark.parametrize(
        ("text", "left"),
        [
            (
                "postgresql://bob:{}@db.example.com:5432/x",
                "postgresql://bob:{}@db.example.com:5432/x",
            ),
            (
                "mongodb+srv://bob:{}@cluster0.example.net",
                "mongodb+srv://bob:{}@cluster0.example.net",
            ),
            ("redis://:{}@localhost:6379/0", "redis://:{}@localhost:6379/0"),
            (
                'create_engine("mysql+pymysql://r:{}@h/x")',
                'create_engine("mysql+pymysql://r:{}@h/x")',
            ),
            ("https://bob:{}@example.com/path", "https://bob:{}@example.com/path"),
            ("amqp://bob:{}@[::1]:5672/", "amqp://bob:{}@[::1]:5672/"),
            (
                "\x1b[33mhttps://bob:{}@example.com\x1b[39m",
                "\x1b[33mhttps://bob:{}@example.com\x1b[39m",
            ),
        ],
    )
    @pytest.mark.parametrize(
        "password", ["hunter2", "p@ss:w0rd", "1234", "a#b?c", "k" * 60, "%40%2F"]
    )
    def test_only_the_password_is_taken_out(self, text, left, password):
        assert redacted(text.format(password)) == left.format("[redacted:connection-password]")

    def test_a_database_password_may_hold_a_slash(self):
        left = "postgresql://bob:[redacted:connection-password]@db/x"
        assert redacted("postgresql://bob:a/b/c@db/x") == left

    @pytest.mark.parametrize(
        "text",
        [
            "https://example.com/a?b=c",
            "http://localhost:8888/lab",
            "http://localhost:8080/logo@2x.png",
            "http://host:80?mail=a@b.example",
            "redis://host:6379/0?x=a@b",
            "https://bob@example.com/",
            "ssh://git@example.com:22/x",
            "git@example.com:org/repo.git",
            "see https://example.com: mail bob@example.com",
            "postgresql://{user}:{password}@{host}/db",
            "postgresql://user:<password>@host/db",
            "postgresql://user:${PASSWORD}@host/db",
            "postgresql://user:%s@host/db",
            "postgresql://user:***@host/db",
            r"re.compile(r'://[^:]+:([^@]+)@')",
            "file:///home/bob/x:y@z",
        ],
    )
    def test_addresses_without_a_password_stay(self, text):
        assert redacted(text) == text


LITERALS = {
    "a keyword": ('connect(host, password="{}")', "password"),
    "single quotes": ("connect(host, password='{}')", "password"),
    "with spaces": ("password  =  '{}'", "password"),
    "a longer name": ('db_password = "{}"', "password"),
    "an attribute": ('self.password = "{}"', "password"),
    "capitals": ('DB_PASSWORD = "{}"', "password"),
    "camel case": ('dbPassword: "{}"', "password"),
    "an annotation": ('password: str = "{}"', "password"),
    "a longer annotation": ('password: str | None = "{}"', "password"),
    "a walrus": ('if (password := "{}"):', "password"),
    "a comparison": ('if password == "{}":', "password"),
    "bytes": ('password = b"{}"', "password"),
    "a raw string": ('password = r"{}"', "password"),
    "an f-string without fields": ('password = f"{}"', "password"),
    "three quotes": ('password = """{}"""', "password"),
    "parentheses": ('password = ("{}")', "password"),
    "a subscript": ('config["password"] = "{}"', "password"),
    "the environment": ('os.environ["DB_PASSWORD"] = "{}"', "password"),
    "a default in the environment": ('os.environ.setdefault("DB_PASSWORD", "{}")', "password"),
    "setenv": ('monkeypatch.setenv("DB_PASSWORD", "{}")', "password"),
    "a dict": ('{{"user": "bob", "password": "{}"}}', "password"),
    "a printed dict": ("{{'user': 'bob', 'password': '{}'}}", "password"),
    "JSON": ('{{"password":"{}"}}', "password"),
    "JSON in a string": ('"{{\\"password\\": \\"{}\\"}}"', "password"),
    "HTML": ("{{&#39;password&#39;: &#39;{}&#39;}}", "password"),
    "HTML with quot": ("{{&quot;password&quot;: &quot;{}&quot;}}", "password"),
    "YAML in quotes": ('db:\n  password: "{}"\n', "password"),
    "ruby": ('"password" => "{}"', "password"),
    "a passphrase": ('passphrase="{}"', "password"),
    "passwd": ('passwd="{}"', "password"),
    "a secret": ('client_secret = "{}"', "secret"),
    "an API key": ('api_key = "{}"', "api-key"),
    "an API key in camel case": ('apiKey: "{}"', "api-key"),
    "an API key in a header": ('{{"X-API-Key": "{}"}}', "api-key"),
    "a secret key": ('SECRET_KEY = "{}"', "api-key"),
    "an access key": ('"accessKey": "{}"', "api-key"),
    "a numbered name": ('password2 = "{}"', "password"),
    "a name with a stage": ('DB_PASSWORD_PROD = "{}"', "password"),
    "in a comment": ('# password="{}"', "password"),
    "after prose with an apostrophe": ("don't: password='{}'", "password"),
    "unterminated": ('password="{}\nnext = 1', "password"),
}
BARE = {
    "a shell variable": ("export DB_PASSWORD={}", "password"),
    "before a command": ("PGPASSWORD={} psql -h db", "password"),
    "in a %env magic": ("%env API_SECRET={}", "secret"),
    "after an exclamation mark": ("!DB_PASSWORD={} make", "password"),
    "an .env file": ("USER=bob\nDB_PASSWORD={}\n", "password"),
    "an option": ("mysql --password={} -u bob", "password"),
    "a query": ("https://example.com/?api_key={}&x=1", "api-key"),
    "a form": ("user=bob&password={}", "password"),
    "YAML": ("db:\n  password: {}\n  port: 1\n", "password"),
    "a YAML list": ("- password: {}  # mine\n", "password"),
    "XML": ("<password>{}</password>", "password"),
    "an ADO connection string": ("Server=db;Uid=bob;Password={};", "password"),
}


class TestNamesWithALiteral:
    @pytest.mark.parametrize("where", LITERALS)
    @pytest.mark.parametrize(
        "value", ["hunter2", "correct horse battery", "p\\tß!", "s", "-x", made(40)]
    )
    def test_the_literal_is_taken_out_and_its_name_stays(self, where, value):
        text, kind = LITERALS[where]
        assert redacted(text.format(value)) == text.format(f"[redacted:{kind}]")

    @pytest.mark.parametrize("where", BARE)
    @pytest.mark.parametrize("value", ["hunter2", "p!ss-w%rd", "a1b2c3d4e5f6", "swordfish"])
    def test_a_literal_without_quotes_is_taken_out(self, where, value):
        text, kind = BARE[where]
        assert redacted(text.format(value)) == text.format(f"[redacted:{kind}]")

    @pytest.mark.parametrize(
        "text",
        [
            'token = "{}"',
            "token: {}\n",
            "{{'access_token': '{}'}}",
            "http://localhost:8888/lab?token={}",
            "export API_TOKEN={}",
            "tool --token {} push",
            'os.environ["HF_TOKEN"] = "{}"',
        ],
    )
    def test_a_token_that_a_machine_made_is_taken_out(self, text):
        assert redacted(text.format(made(20))) == text.format("[redacted:token]")

    def test_an_option_with_a_space_before_its_value(self):
        assert (
            redacted("mysql --password hunter2 -u bob")
            == "mysql --password [redacted:password] -u bob"
        )

    def test_an_azure_account_key(self):
        key = base64.b64encode(bytes(range(64))).decode()
        text = "DefaultEndpointsProtocol=https;AccountName=x;AccountKey={};EndpointSuffix=y"
        assert redacted(text.format(key)) == text.format("[redacted:azure-storage-key]")

    def test_a_form_gives_the_kind_even_where_the_name_tells_less(self):
        text = f'api_key = "sk-ant-{made(90)}"'
        assert redacted(text) == 'api_key = "[redacted:anthropic-key]"'

    def test_quotes_with_escapes_are_followed_to_their_end(self):
        assert redacted(r'password = "a\"b\\" + x') == 'password = "[redacted:password]" + x'

    @pytest.mark.parametrize(
        "text",
        [
            "password = other",
            "connect(password=password)",
            "connect(password=cfg.password)",
            'connect(password=config["db"]["password"])',
            'connect(password=os.environ["DB_PASSWORD"])',
            'connect(password=os.getenv("DB_PASSWORD", None))',
            "connect(password=getpass())",
            'password = getpass("Password: ")',
            'password = input("Password: ") + "x"',
            "password = first + second",
            "password = lambda: 1",
            "password = None",
            "password=True, secret=False",
            'password = ""',
            "password = ''",
            'password = "..."',
            'password = "xxx"',
            'password = "XXXXXXXX"',
            'password = "********"',
            'password = "<password>"',
            'password = "<your password here>"',
            'password = "${DB_PASSWORD}"',
            'password = "$DB_PASSWORD"',
            'password = "{password}"',
            'password = "{{ vault_password }}"',
            'password = "%s"',
            'password = "%(password)s"',
            'password = f"{user}{salt}"',
            'password = f"prefix-{salt}"',
            'api_key = "YOUR_API_KEY"',
            'api_key = "your-api-key-here"',
            'api_key="insert your key here"',
            "export PASSWORD=$OTHER",
            "export PASSWORD=$(pass show db)",
            "PASSWORD=${PASSWORD:-}",
            "password: str",
            "password: Optional[str] = None",
            "password: Annotated[str, Doc('x')],",
            "def login(user: str, password: str) -> Token: ...",
            '{"password": null, "token": null}',
            '{"password": {"type": "string"}}',
            '{"password": "string"}',
            "password_reset=True",
            'password_field = "pw"',
            "secret_name = 'prod/db'",
            "reset_password(user)",
            "max_tokens=100",
            "tokens = ['a1b2c3d4', 'e5f6a7b8']",
            'tokenizer = "bert"',
            'tokenizer = "bert-base-uncased-123"',
            'pad_token="[PAD]", eos_token="</s>", unk_token="<unk>"',
            'token = "word"',
            'token="Hello"',
            "token: 12345",
            "num_token = 4096",
            "next token is: the",
            "The token is invalid; the secret is patience.",
            "Password: must have 8 characters",
            "Enter your password:",
            'print("password:", password)',
            'print("password=" + password)',
            "print(f\"password='{password}'\")",
            'logging.info("token=%s", token)',
            '"password=\'" + password + "\'"',
            'primary_key="id", foreign_key="user_id", sort_key="a1"',
            '{"key": "a1b2c3d4e5f6"}',
            'public_key = "a1b2c3d4e5f6"',
            'df["password"]',
            'df[["user", "password", "token"]]',
            'columns=["password", "name"]',
            "SELECT password, token FROM users",
            'df.rename(columns={"pw": "password"})',
            'type="password" name="x"',
            "import secrets; secrets.token_hex(16)",
            "from getpass import getpass",
            "ls /run/secrets/password",
            "--password-stdin",
            "usage: x [--password PASSWORD] [--token TOKEN]",
            'private_key = "~/.ssh/id_rsa"',
            'private_key="certs/server.pem"',
            "/etc/passwd: No such file",
            're.compile(r"password=(.*)")',
            're.compile(r"token=[^&]+")',
        ],
    )
    def test_what_only_talks_about_secrets_stays(self, text):
        assert redacted(text) == text

    def test_names_can_be_chosen(self):
        redactor = Redactor(names=DEFAULT_NAMES | {"pin", "wandb_key"})
        text = 'pin="1234" WANDB_KEY="abc" password="x1" key="abc" spin="1234x"'
        assert redactor.text(text)[0] == (
            'pin="[redacted:pin]" WANDB_KEY="[redacted:api-key]" password="[redacted:password]" '
            'key="abc" spin="[redacted:pin]"'
        )
        assert Redactor(names=frozenset()).text('password="x"') == ('password="x"', {})
        with pytest.raises(InvalidRequest, match="'key_2'"):
            Redactor(names=frozenset({"key_2"}))


class TestTracebacks:
    def test_a_coloured_traceback_of_ipython_loses_its_secrets(self):
        """Colour codes stand between a name and its value, and before a token."""
        program = (
            "from IPython.core.interactiveshell import InteractiveShell as S\n"
            "s = S.instance(colors='Linux')\n"
            "r = s.run_cell('''api_key = \"abc-def\"\n"
            'd = {"password": \'hunter2\'}; d["secret"] = "hunter3"\n'
            "TOKEN = f\"hunter4aa\"; u=\"https://bob:hunter5@h/\"; k=\"'''+'sk-'+'''"
            + made(48)
            + '"\n'
            "connect(password=\"hunter6\", secret=d)''')\n"
            "e = r.error_in_exec\n"
            "tb = s.InteractiveTB.structured_traceback(type(e), e, e.__traceback__)\n"
            "print('TRACEBACK', '\\n'.join(tb))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        traceback = done.stdout.partition("TRACEBACK")[2]
        assert "\x1b[" in traceback
        assert "hunter6" in traceback
        new = redacted(traceback)
        for secret in ("abc-def", "hunter", made(48)):
            assert secret not in new
        assert new.count("[redacted:") == 6  # the first line is not shown
        assert "secret\x1b" in new


DECOYS = {
    "git log": f"commit {hashlib.sha1(b'1').hexdigest()}\nAuthor: A <a@example.com>\n\n    Fix token",
    "uuid": str(uuid.UUID(int=0x1234567890ABCDEF1234567890ABCDEF)),
    "hashes": "\n".join(getattr(hashlib, n)(b"x").hexdigest() for n in ("md5", "sha256", "sha512")),
    "base64 image": f'<img src="data:image/png;base64,{base64.b64encode(random.Random(1).randbytes(300_000)).decode()}"/>',
    "url-safe base64": base64.urlsafe_b64encode(random.Random(2).randbytes(300_000)).decode(),
    "hex": random.Random(3).randbytes(200_000).hex(),
    "sklearn": '<div id="sk-container-id-1" class="sk-top-container sk-estimator-doc-link fitted">'
    '<label class="sk-toggleable__label-arrow sk-toggleable__content-fitted">',
    "words with sk": "task-" + "a1" * 20 + " risk-management-of-the-1990s-and-2000s disk-usage",
    "functions": "hf_hub_download(npm_config_registry, ghp_ , sk_live_, pypi-server, xox)",
    "a JWT's start": "eyJ" + "a" * 50 + " and eyJ" + "b" * 30 + ".txt",
    "AWS names": "arn:aws:iam::123456789012:role/AKIA and ASIA-PACIFIC AKIA123",
    "Asia": "ASIANDEVELOPMENTBANK2026 in ASIA",
    "a dataframe": "    user password  token\n0    bob  hunter2  a1b2c3d4e5f6\n1  alice  swordfish  f6e5d4c3",
    "a series": "user            bob\npassword    hunter2\nName: 0, dtype: object",
    "an HTML table": "<th>password</th></tr><tr><td>bob</td><td>hunter2</td>",
}


class TestDecoys:
    @pytest.mark.parametrize("name", DECOYS)
    def test_what_looks_alike_stays(self, name):
        assert redacted(DECOYS[name]) == DECOYS[name]

    def test_printed_arrays_and_frames_stay(self):
        np = pytest.importorskip("numpy")
        pd = pytest.importorskip("pandas")
        random_numbers = np.random.default_rng(0)
        for shown in (
            random_numbers.random((200, 200)),
            random_numbers.integers(0, 10**15, 1000),
            pd.DataFrame(random_numbers.random((50, 4)), columns=list("abcd")),
        ):
            for text in (repr(shown), str(shown), getattr(shown, "to_html", str)()):
                assert redacted(text) == text

    def test_the_sources_of_the_standard_library_hold_few_literal_secrets(self):
        """Real code talks about passwords a lot, and seldom holds one."""
        import http.client
        import imaplib
        import secrets
        import smtplib
        import tokenize
        import urllib.request

        for module in (http.client, imaplib, secrets, smtplib, tokenize):
            with open(module.__file__, encoding="utf-8") as file:
                text = file.read()
            assert redacted(text) == text, module
        with open(urllib.request.__file__, encoding="utf-8") as file:
            assert REDACTOR.text(file.read())[1] == {"password": 1}  # a docstring's 'geheim$parole'

    def test_a_word_for_a_secret_may_be_one_too(self):
        """`password` is the password of many a database: the rename map in our source is hit."""
        import ipysession.record.redact as module

        with open(module.__file__, encoding="utf-8") as file:
            text = file.read()
        assert REDACTOR.text(text)[1] == {"connection-password": 1, "password": 2}


class TestOutputs:
    def test_strings_anywhere_in_an_output_are_redacted(self):
        output = {
            "output_type": "execute_result",
            "data": {"text/plain": f"'{JWT}'", "application/json": {"a": [1, {"b": [AWS_KEY]}]}},
            "metadata": {},
        }
        new, counts = REDACTOR.value(output)
        assert new["data"] == {
            "text/plain": "'[redacted:jwt]'",
            "application/json": {"a": [1, {"b": ["[redacted:aws-access-key]"]}]},
        }
        assert counts == {"jwt": 1, "aws-access-key": 1}
        assert output["data"]["application/json"]["a"][1]["b"] == [AWS_KEY], "the original changed"

    @pytest.mark.parametrize(
        "media_type",
        [
            "image/png",
            "image/jpeg",
            "application/pdf",
            "audio/wav",
            "video/mp4",
            "font/woff2",
            "application/octet-stream",
        ],
    )
    def test_binary_payloads_are_left_alone(self, media_type):
        bundle = {"data": {media_type: f"x {AWS_KEY} x"}}
        new, counts = REDACTOR.value(bundle)
        assert new is bundle
        assert not counts

    @pytest.mark.parametrize(
        "media_type", ["image/svg+xml", "text/html", "application/json", "text/latex"]
    )
    def test_textual_payloads_are_redacted(self, media_type):
        new, _ = REDACTOR.value({"data": {media_type: f"x {AWS_KEY} x"}})
        assert new["data"][media_type] == "x [redacted:aws-access-key] x"

    def test_what_holds_no_secret_is_not_copied(self):
        value = {"a": [1, 2.5, None, True, "text", {"b": ("x", ["y"])}]}
        new, counts = REDACTOR.value(value)
        assert new is value
        assert counts == {}

    def test_only_what_changes_is_copied(self):
        value = {"left": {"big": ["x"] * 5}, "right": [AWS_KEY]}
        new, _ = REDACTOR.value(value)
        assert new["left"] is value["left"]
        assert new["right"] == ["[redacted:aws-access-key]"]

    def test_a_key_can_tell_that_its_value_is_a_secret(self):
        value = {"user": "bob", "password": "hunter2", "apiKey": JWT, "token": "word", "secret": ""}
        assert REDACTOR.value(value)[0] == {
            "user": "bob",
            "password": "[redacted:password]",
            "apiKey": "[redacted:jwt]",
            "token": "word",
            "secret": "",
        }

    def test_a_secret_across_the_lines_that_nbformat_keeps_is_found(self):
        lines = f"key:\n{PEM}\nafter\n".splitlines(keepends=True)
        new, counts = REDACTOR.value({"text": lines})
        assert "".join(new["text"]) == "key:\n[redacted:private-key]\nafter\n"
        assert counts == {"private-key": 1}
        assert all(isinstance(line, str) for line in new["text"])

    def test_an_output_may_be_nested_deeper_than_the_stack(self):
        value = [AWS_KEY]
        for _ in range(50_000):
            value = [value]
        new, counts = REDACTOR.value(value)
        assert counts == {"aws-access-key": 1}
        while isinstance(new, list):
            (new,) = new
        assert new == "[redacted:aws-access-key]"

    def test_a_text_by_itself_and_things_that_are_no_text(self):
        assert REDACTOR.value(AWS_KEY) == ("[redacted:aws-access-key]", {"aws-access-key": 1})
        for value in (None, 1, 1.5, True, b"x", [], {}, ()):
            assert REDACTOR.value(value) == (value, {})


class TestTuning:
    def test_nothing_is_redacted_when_it_is_switched_off(self):
        off = Redactor(enabled=False)
        assert off.text(AWS_KEY) == (AWS_KEY, {})
        assert off.value({"a": [AWS_KEY]}) == ({"a": [AWS_KEY]}, {})

    def test_a_pattern_of_the_users_own(self):
        redactor = Redactor(extra={"badge": r"\bEMP-\d{6}\b"})
        assert redactor.text(f"EMP-123456 {AWS_KEY}") == (
            "[redacted:badge] [redacted:aws-access-key]",
            {"badge": 1, "aws-access-key": 1},
        )

    def test_a_pattern_may_name_the_part_that_is_secret(self):
        redactor = Redactor(extra={"pin": r"pin is (?P<secret>\d+)"})
        assert redactor.text("the pin is 1234")[0] == "the pin is [redacted:pin]"

    @pytest.mark.parametrize("pattern", [r"[a-z]+", r"red\w+", r"\[.*\]", r"redacted:.*", r".+"])
    def test_a_pattern_that_matches_our_marker_does_not_eat_it_again(self, pattern):
        redactor = Redactor(extra={"greedy": pattern})
        once, _ = redactor.text(f"x {AWS_KEY} [y] z")
        assert redactor.text(once) == (once, {})
        assert AWS_KEY not in once

    @pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<a>x)(?P<a>y)"])
    def test_a_pattern_that_is_none_is_refused_by_name(self, pattern):
        with pytest.raises(InvalidRequest, match="'badge' is not a regular expression"):
            Redactor(extra={"badge": pattern})

    def test_a_pattern_that_matches_nothing_at_all_is_refused(self):
        with pytest.raises(InvalidRequest, match="'badge'.*at least one character"):
            Redactor(extra={"badge": "x*"})

    def test_a_kind_needs_a_plain_name(self):
        with pytest.raises(InvalidRequest, match="'a b'"):
            Redactor(extra={"a b": "x"})


PIECES = st.sampled_from(
    [secret for _, secret in EVERY_FORM]
    + [text.format("hunter2") for text, _ in (LITERALS | BARE).values()]
    + "password= token: secret \" ' = : \\ \n [redacted:x] sk- eyJ :// @ u: %env -- \x1b[31m m & ; ( ) "
    'Bearer Authorization: -----BEGIN -----END PRIVATE KEY----- AKIA api_key f" {x} , # <'.split(
        " "
    )
)


class TestProperties:
    @given(st.lists(PIECES | st.text(max_size=8), max_size=12).map("".join))
    @settings(max_examples=1500, deadline=None)
    def test_redacting_twice_is_redacting_once(self, text):
        once, _ = REDACTOR.text(text)
        assert REDACTOR.text(once) == (once, {})

    @given(st.text(max_size=300))
    @settings(max_examples=300, deadline=None)
    def test_any_text_is_taken(self, text):
        new, counts = REDACTOR.text(text)
        assert isinstance(new, str)
        assert bool(counts) == (new != text)

    @given(
        st.recursive(
            st.none() | st.integers() | st.floats() | PIECES | st.text(max_size=10),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    PIECES | st.sampled_from(["password", "image/png", "x"]), inner, max_size=4
                )
            ),
            max_leaves=20,
        )
    )
    @settings(max_examples=500, deadline=None)
    def test_walking_keeps_the_shape_and_is_idempotent(self, value):
        before = repr(value)
        new, counts = REDACTOR.value(value)
        assert repr(value) == before, "the original changed"
        assert (new is value) == (not counts)
        assert shape(new) == shape(value)
        assert REDACTOR.value(new) == (new, {}) or "nan" in before

    @given(
        st.sampled_from(EVERY_FORM), st.text(alphabet=string.whitespace + ".,;!?<>()", max_size=5)
    )
    @settings(max_examples=300, deadline=None)
    def test_punctuation_around_a_secret_does_not_save_it(self, form, around):
        kind, secret = form
        assert redacted(around + secret + around) == f"{around}[redacted:{kind}]{around}"


def shape(value):
    if isinstance(value, dict):
        return {key: shape(held) for key, held in value.items()}
    if isinstance(value, list):
        return [shape(held) for held in value]
    return type(value)


HOSTILE = [
    "a", "password=", "password", 'password="', "password='", 'password="""', 'password=\\"', "password=(",
    "password: a a", "api_key", "token: ", "token:\n", "eyJ", "eyJaaaaaaaaaa.", "://", "://u:", "://:::::",
    "://aaaaaaaaaaaaaaa", "sk-", "ghp_", "glpat-", "xox", "xoxb-", "AKIA", "Bearer ", "Authorization: Bearer ",
    "-----BEGIN PRIVATE KEY-----\n" + "A" * 20, "-----BEGIN PRIVATE KEY-----\nProc-Type: x\n", "-----BEGIN ",
    "\x1b[31m", "password\x1b[31m", "password" + " " * 39, "password&quot;", "password=[", "password=%", "{", "\\",
    AWS_KEY + " ", "[redacted:x]", "password=[redacted:x]",
]  # fmt: skip


class TestPrice:
    @pytest.mark.parametrize("piece", HOSTILE)
    def test_hostile_text_takes_time_in_proportion_to_its_length(self, piece):
        """1 MB takes at most a few seconds even here; a quadratic rule would take hours."""
        text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
        began = time.perf_counter()
        REDACTOR.text(text)
        assert time.perf_counter() - began < 10

    @pytest.mark.parametrize("piece", HOSTILE)
    def test_a_hostile_run_before_a_secret_does_not_hide_it(self, piece):
        text = piece * 200 + f"\n\n{JWT}\n"
        assert JWT not in REDACTOR.text(text)[0]

    def test_much_ordinary_text_is_passed_quickly(self):
        """Ten megabytes in well under a second: the aim is 100 MB in 1.5 s."""
        line = (
            '{"id": 123, "key": "v-17", "url": "https://example.com/a?x=1", "said": "the token"}\n'
        )
        text = line * (10_000_000 // len(line))
        began = time.perf_counter()
        assert REDACTOR.text(text)[1] == {}
        assert time.perf_counter() - began < 1.0

    def test_a_short_text_is_passed_quickly(self):
        text = (
            "for i in range(10):\n    print(i, 'the quick brown fox jumps over the lazy dog')\n" * 3
        )
        began = time.perf_counter()
        for _ in range(2_000):
            REDACTOR.text(text)
        assert (time.perf_counter() - began) / 2_000 < 100e-6

    def test_a_large_json_output_is_walked_quickly(self):
        value = {"data": {"application/json": [{"x": n, "y": "abc"} for n in range(20_000)]}}
        began = time.perf_counter()
        assert REDACTOR.value(value)[0] is value
        assert time.perf_counter() - began < 3
        assert json.dumps(value)
