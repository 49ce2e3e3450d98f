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
import uuid
from pathlib import Path

import pytest
from hypothesis import example, given, settings
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
        "sk-proj-" + "-".join([made(8)] * 6),
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
    def test_replaced(self, kind, secret, setting):
        """A secret is replaced by its kind, wherever it stands, and nothing else changes."""
        template = SETTINGS[setting]
        assert redacted(template.format(secret)) == template.format(f"[redacted:{kind}]")

    def test_counts(self):
        """The counts tell how many secrets of each kind were taken out."""
        text = f"{AWS_KEY} {JWT} {JWT} {PEM}"
        _, counts = REDACTOR.text(text)
        assert counts == {"aws-access-key": 1, "jwt": 2, "private-key": 1}

    def test_aws_secret_near_its_id(self):
        """An AWS secret, which has no form of its own, is found near its key id."""
        csv = f"Access key ID,Secret access key\n{AWS_KEY},{AWS_SECRET}\n"
        assert AWS_SECRET not in redacted(csv)
        assert redacted(csv).endswith("\n[redacted:aws-access-key],[redacted:aws-secret-key]\n")

    def test_aws_secret_by_name(self):
        """And by its name."""
        text = f"aws_secret_access_key = {AWS_SECRET}"
        assert redacted(text) == "aws_secret_access_key = [redacted:aws-secret-key]"

    def test_commit_near_an_aws_id(self):
        """A git commit, as long as an AWS secret, stays."""
        commit = hashlib.sha1(b"x").hexdigest()
        assert commit in redacted(f"{AWS_KEY} deployed {commit}")

    def test_unfinished_private_key(self):
        """A private key without its end is taken out as far as it goes."""
        text = PEM.partition("-----END")[0] + "and then prose\n"
        assert redacted(text) == "[redacted:private-key]\nand then prose\n"

    def test_private_key_in_python(self):
        """A private key in a concatenation of Python strings is found."""
        lines = PEM.splitlines()
        text = "key = (\n" + "\n".join(f'    "{line}\\n"' for line in lines) + "\n)"
        assert not any(line in redacted(text) for line in lines[1:-1])

    def test_encrypted_private_key(self):
        """An encrypted private key is found."""
        head = "-----BEGIN RSA PRIVATE KEY-----\n"
        text = PEM.replace(head, head + "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,12AB\n\n")
        assert redacted(text) == "[redacted:private-key]"

    def test_private_key_header(self):
        """A program that knows what a private key looks like holds none."""
        text = (
            'if text.startswith("-----BEGIN RSA PRIVATE KEY-----"):\n'
            '    end = text.index("-----END RSA PRIVATE KEY-----")'
        )
        assert redacted(text) == text

    def test_public_key(self):
        """A public key and a certificate stay."""
        for name in ("PUBLIC KEY", "CERTIFICATE"):
            text = PEM.replace("RSA PRIVATE KEY", name)
            assert redacted(text) == text

    def test_webhook(self):
        """A Slack webhook loses the secret part of its path."""
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
    def test_header(self, text, left):
        """The credentials of a header are taken out and its scheme stays."""
        assert redacted(text.format(made(24))) == left.format("[redacted:authorization]")

    def test_short_basic(self):
        """A short user name and password are taken out."""
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
            "authorization: version2",
            "Authorization failed for user bob",
            "WWW-Authenticate: Basic realm=example",
        ],
    )
    def test_talk(self, text):
        """Talk about headers, and headers that programs put together, stay."""
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
    def test_password(self, text, left, password):
        """Only the password is taken out."""
        assert redacted(text.format(password)) == left.format("[redacted:connection-password]")

    def test_slash(self):
        """The password of a database may hold a slash."""
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
            r"re.compile(r'://user:([^@]+)@')",
            "file:///home/bob/x:y@z",
        ],
    )
    def test_no_password(self, text):
        """Addresses without a password, or with a placeholder, stay."""
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
    "a form's beginning": ("password={}&user=bob", "password"),
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
    def test_literal(self, where, value):
        """The literal is taken out and its name stays."""
        text, kind = LITERALS[where]
        assert redacted(text.format(value)) == text.format(f"[redacted:{kind}]")

    @pytest.mark.parametrize("where", BARE)
    @pytest.mark.parametrize("value", ["hunter2", "p!ss-w%rd", "a1b2c3d4e5f6", "swordfish"])
    def test_bare_literal(self, where, value):
        """Where shells, URLs and YAML have no quotes, the literal is found too."""
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
    def test_token(self, text):
        """A token is taken out where a machine made it: people say token for words, too."""
        assert redacted(text.format(made(20))) == text.format("[redacted:token]")

    @pytest.mark.parametrize("name", sorted(DEFAULT_NAMES))
    def test_every_name(self, name):
        """Each of the names is known, in every spelling and with anything before it."""
        first, *rest = name.split("_")
        camel = first + "".join(word.capitalize() for word in rest)
        for spelled in (
            name,
            name.upper(),
            name.replace("_", "-"),
            camel,
            "my_" + name,
            "x." + name,
        ):
            assert "a1b2c3" not in redacted(f'"{spelled}": "a1b2c3"')

    @pytest.mark.parametrize(
        ("stays", "goes"),
        [
            ('token="ab12c"', 'token="abc12d"'),
            ('token="abcdefghijklmno"', 'token="abcdefghijklmnop"'),
            ("password=123", "password=1234"),
            ('private_key="/x/y1"', 'password="/x/y1"'),
            ("said password: swordfish", "password: swordfish"),
            ("    password: PasswordType", "    password: passwordtype"),
            ('print("password=") + x', 'f("a", {"password": ") + x"})'),
            ('tool "--token" x1', "tool --token x1y2z3"),
        ],
    )
    def test_limits(self, stays, goes):
        """Where the line is drawn."""
        assert redacted(stays) == stays
        assert "[redacted:" in redacted(goes)

    def test_braces(self):
        """Braces are fields in an f-string only, and brackets that close belong to the value."""
        assert redacted('password = "h{1}x"') == 'password = "[redacted:password]"'
        assert redacted("f(password=p@ss(1))") == "f(password=[redacted:password])"

    def test_sql(self):
        """In SQL, the password follows the word."""
        left = "CREATE USER bob PASSWORD '[redacted:password]';"
        assert redacted("CREATE USER bob PASSWORD 'hunter2';") == left

    def test_env_magic(self):
        """So it does in %env, where it is a variable's name."""
        assert redacted("%env API_TOKEN abc123def") == "%env API_TOKEN [redacted:token]"
        assert redacted("  %set_env API_KEY abc123") == "  %set_env API_KEY [redacted:api-key]"

    def test_option(self):
        """An option may have a space before its value."""
        assert (
            redacted("mysql --password hunter2 -u bob")
            == "mysql --password [redacted:password] -u bob"
        )

    def test_azure(self):
        """The key in the connection string of an Azure storage account is taken out."""
        key = base64.b64encode(bytes(range(64))).decode()
        text = "DefaultEndpointsProtocol=https;AccountName=x;AccountKey={};EndpointSuffix=y"
        assert redacted(text.format(key)) == text.format("[redacted:azure-storage-key]")

    def test_better_kind(self):
        """A form tells more than a name."""
        text = f'api_key = "sk-ant-{made(90)}"'
        assert redacted(text) == 'api_key = "[redacted:anthropic-key]"'

    def test_escapes(self):
        """Quotes with escapes in them are followed to their end."""
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
            "the password 'must be long' or so",
            "x = password & mask, token=a & b",
            'private_key = "~/.ssh/id_rsa"',
            'private_key="certs/server.pem"',
            "/etc/passwd: No such file",
            're.compile(r"password=(.*)")',
            're.compile(r"token=[^&]+")',
        ],
    )
    def test_talk(self, text):
        """Names, calls, placeholders, types and prose stay."""
        assert redacted(text) == text

    def test_chosen_names(self):
        """The names that announce a secret can be chosen."""
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
    def test_coloured(self):
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


IMAGE = base64.b64encode(random.Random(1).randbytes(300_000)).decode()
DECOYS = {
    "git log": f"commit {hashlib.sha1(b'1').hexdigest()}\nAuthor: A <a@example.com>\n\n    F",
    "uuid": str(uuid.UUID(int=0x1234567890ABCDEF1234567890ABCDEF)),
    "hashes": "\n".join(getattr(hashlib, n)(b"x").hexdigest() for n in ("md5", "sha256", "sha512")),
    "base64 image": f'<img src="data:image/png;base64,{IMAGE}"/>',
    "url-safe base64": base64.urlsafe_b64encode(random.Random(2).randbytes(300_000)).decode(),
    "hex": random.Random(3).randbytes(200_000).hex(),
    "sklearn": '<div id="sk-container-id-1" class="sk-top-container sk-estimator-doc-link fitted">'
    '<label class="sk-toggleable__label-arrow sk-toggleable__content-fitted">',
    "words with sk": "task-" + "a1" * 20 + " risk-management-of-the-1990s-and-2000s disk-usage",
    "functions": "hf_hub_download(npm_config_registry, ghp_ , sk_live_, pypi-server, xox)",
    "a JWT's start": "eyJ" + "a" * 50 + " and eyJ" + "b" * 30 + ".txt",
    "AWS names": "arn:aws:iam::123456789012:role/AKIA and ASIA-PACIFIC AKIA123",
    "Asia": "ASIANDEVELOPMENTBANK2026 in ASIA",
    "a dataframe": "   user password  token\n0   bob  hunter2  a1b2c3d4e5f6\n1   eve  fish  f6e5",
    "a series": "user            bob\npassword    hunter2\nName: 0, dtype: object",
    "an HTML table": "<th>password</th></tr><tr><td>bob</td><td>hunter2</td>",
}


def source(module):
    """The text of a module."""
    return Path(module.__file__).read_text(encoding="utf-8")


class TestDecoys:
    @pytest.mark.parametrize("name", DECOYS)
    def test_stays(self, name):
        """What looks like a secret and is none stays."""
        assert redacted(DECOYS[name]) == DECOYS[name]

    def test_printed_data(self):
        """Printed arrays and frames stay."""
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

    def test_real_code(self):
        """Real code talks about passwords a lot, and seldom holds one."""
        import http.client
        import imaplib
        import secrets
        import smtplib
        import tokenize
        import urllib.request

        for module in (http.client, imaplib, secrets, smtplib, tokenize):
            text = source(module)
            assert redacted(text) == text, module
        assert REDACTOR.text(source(urllib.request))[1] == {
            "password": 1
        }  # a docstring's 'geheim$parole'

    def test_our_code(self):
        """`password` is the password of many a database: the rename map in our source is hit."""
        import ipysession.record.redact as room

        text = "".join(path.read_text() for path in sorted(Path(room.__file__).parent.glob("*.py")))
        assert REDACTOR.text(text)[1] == {"connection-password": 1, "password": 2}


class TestOutputs:
    def test_anywhere(self):
        """Strings anywhere in an output are redacted, and the original stays as it was."""
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
    def test_binary(self, media_type):
        """Payloads of binary media types are not even looked at."""
        bundle = {"data": {media_type: f"x {AWS_KEY} x"}}
        new, counts = REDACTOR.value(bundle)
        assert new is bundle
        assert not counts

    @pytest.mark.parametrize(
        "media_type", ["image/svg+xml", "text/html", "application/json", "text/latex"]
    )
    def test_textual(self, media_type):
        """Payloads of textual media types are."""
        new, _ = REDACTOR.value({"data": {media_type: f"x {AWS_KEY} x"}})
        assert new["data"][media_type] == "x [redacted:aws-access-key] x"

    def test_not_copied(self):
        """What holds no secret is not copied."""
        value = {"a": [1, 2.5, None, True, "text", {"b": ("x", ["y"])}]}
        new, counts = REDACTOR.value(value)
        assert new is value
        assert counts == {}

    def test_copied(self):
        """Of what holds one, only what changes is copied."""
        value = {"left": {"big": ["x"] * 5}, "right": [AWS_KEY]}
        new, _ = REDACTOR.value(value)
        assert new["left"] is value["left"]
        assert new["right"] == ["[redacted:aws-access-key]"]

    def test_keys(self):
        """A key can tell that its value is a secret."""
        value = {"user": "bob", "password": "hunter2", "apiKey": JWT, "token": "word", "secret": ""}
        assert REDACTOR.value(value)[0] == {
            "user": "bob",
            "password": "[redacted:password]",
            "apiKey": "[redacted:jwt]",
            "token": "word",
            "secret": "",
        }

    def test_lines(self):
        """A secret across the lines that nbformat keeps as a list is found."""
        lines = f"key:\n{PEM}\nafter\n".splitlines(keepends=True)
        new, counts = REDACTOR.value({"text": lines})
        assert "".join(new["text"]) == "key:\n[redacted:private-key]\nafter\n"
        assert counts == {"private-key": 1}
        assert all(isinstance(line, str) for line in new["text"])

    def test_deep(self):
        """An output may be nested deeper than the stack."""
        value = [AWS_KEY]
        for _ in range(50_000):
            value = [value]
        new, counts = REDACTOR.value(value)
        assert counts == {"aws-access-key": 1}
        while isinstance(new, list):
            (new,) = new
        assert new == "[redacted:aws-access-key]"

    def test_other_values(self):
        """A text by itself is redacted; what is no text stays."""
        assert REDACTOR.value(AWS_KEY) == ("[redacted:aws-access-key]", {"aws-access-key": 1})
        for value in (None, 1, 1.5, True, b"x", [], {}, ()):
            assert REDACTOR.value(value) == (value, {})


class TestTuning:
    def test_off(self):
        """Nothing is redacted when it is switched off."""
        off = Redactor(enabled=False)
        assert off.text(AWS_KEY) == (AWS_KEY, {})
        assert off.value({"a": [AWS_KEY]}) == ({"a": [AWS_KEY]}, {})

    def test_extra(self):
        """A pattern of the user's own finds a kind of its own."""
        redactor = Redactor(extra={"badge": r"\bEMP-\d{6}\b"})
        assert redactor.text(f"EMP-123456 {AWS_KEY}") == (
            "[redacted:badge] [redacted:aws-access-key]",
            {"badge": 1, "aws-access-key": 1},
        )

    def test_extra_group(self):
        """A pattern may name the part that is secret."""
        redactor = Redactor(extra={"pin": r"pin is (?P<secret>\d+)"})
        assert redactor.text("the pin is 1234")[0] == "the pin is [redacted:pin]"

    @pytest.mark.parametrize("pattern", [r"[a-z]+", r"red\w+", r"\[.*\]", r"redacted:.*", r".+"])
    def test_extra_and_markers(self, pattern):
        """A pattern that matches our markers does not eat them."""
        redactor = Redactor(extra={"greedy": pattern})
        once, _ = redactor.text(f"x {AWS_KEY} [y] z")
        assert redactor.text(once) == (once, {})
        assert AWS_KEY not in once

    @pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<a>x)(?P<a>y)"])
    def test_extra_invalid(self, pattern):
        """What is no regular expression is refused by its name."""
        with pytest.raises(InvalidRequest, match="'badge' is not a regular expression"):
            Redactor(extra={"badge": pattern})

    def test_extra_empty(self):
        """So is a pattern that matches where there is nothing."""
        with pytest.raises(InvalidRequest, match=r"'badge'.*at least one character"):
            Redactor(extra={"badge": "x*"})

    def test_extra_name(self):
        """A kind needs a plain name, as it stands in the markers."""
        with pytest.raises(InvalidRequest, match="'a b'"):
            Redactor(extra={"a b": "x"})


FRAGMENTS = [
    *(
        "password=",
        "token:",
        "secret",
        '"',
        "'",
        "=",
        ":",
        "\\",
        "\n",
        "[redacted:x]",
        "sk-",
        "eyJ",
    ),
    *(
        "://",
        "@",
        "u:",
        "%env",
        "--",
        "\x1b[31m",
        "m",
        "&",
        ";",
        "(",
        ")",
        "Bearer",
        "# ",
        "<",
        ">",
    ),
    *("Authorization:", "-----BEGIN", "-----END", "PRIVATE KEY-----", "AKIA", "api_key", 'f"', ","),
    *("{x}", " ", "  ", "\t", '"""', "&quot;", "A" * 20, "hunter2", "-----", "export ", "[", "]"),
]
PIECES = st.sampled_from(
    [secret for _, secret in EVERY_FORM]
    + [text.format("hunter2") for text, _ in (LITERALS | BARE).values()]
    + FRAGMENTS
)


def pieces(most):
    """Texts of up to so many pieces, with other text between them."""
    return st.lists(PIECES | st.text(max_size=8), max_size=most).map("".join)


class TestProperties:
    @given(pieces(12))
    @settings(max_examples=1500, deadline=None)
    def test_idempotent(self, text):
        """Redacting twice is redacting once."""
        once, _ = REDACTOR.text(text)
        assert REDACTOR.text(once) == (once, {})

    @given(pieces(3), pieces(3))
    @example("", ';dbPassword: "hunter2"\\password="')
    @example("token:", '%envpassword=\\"')
    @example("", 'sk-password="://aaaaaaaaaaaaaaa')
    @settings(max_examples=200, deadline=None)
    def test_idempotent_in_the_long_run(self, before, unit):
        """Also of a long line, where taking one out moves what stands around the next."""
        once, _ = REDACTOR.text(before + unit * 300)
        assert REDACTOR.text(once) == (once, {})

    @given(st.text(max_size=300))
    @settings(max_examples=300, deadline=None)
    def test_any_text(self, text):
        """Any text is taken, and counts are given exactly where it changes."""
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
    def test_walk(self, value):
        """Walking keeps the shape and the original, and walking twice is walking once."""
        before = repr(value)
        new, counts = REDACTOR.value(value)
        assert repr(value) == before, "the original changed"
        assert (new is value) == (not counts)
        assert shape(new) == shape(value)
        again, counts = REDACTOR.value(new)
        assert again is new
        assert not counts

    @given(
        st.sampled_from(EVERY_FORM), st.text(alphabet=string.whitespace + ".,;!?<>()", max_size=5)
    )
    @settings(max_examples=300, deadline=None)
    def test_punctuation(self, form, around):
        """Punctuation around a secret does not save it."""
        kind, secret = form
        assert redacted(around + secret + around) == f"{around}[redacted:{kind}]{around}"


def shape(value):
    """The types in a value."""
    if isinstance(value, dict):
        return {key: shape(held) for key, held in value.items()}
    if isinstance(value, list):
        return [shape(held) for held in value]
    return type(value)


HOSTILE = [
    *("a", "{", "\\", "password", "password=", "password='", 'password="', 'password="""'),
    *('password=\\"', "password=(", "password=[", "password=%", "password&quot;", "password: a a"),
    *("password" + " " * 39, "password\x1b[31m", "\x1b[31m", "api_key", "token: ", "token:\n"),
    *("://", "://u:", "://:::::", "://aaaaaaaaaaaaaaa", "eyJ", "eyJaaaaaaaaaa.", "sk-", "ghp_"),
    *("glpat-", "xox", "xoxb-", "AKIA", AWS_KEY + " ", "Bearer ", "Authorization: Bearer "),
    *("-----BEGIN ", "-----BEGIN PRIVATE KEY-----\n" + "A" * 20, "[redacted:x]"),
    *("-----BEGIN PRIVATE KEY-----\nProc-Type: x\n", "password=[redacted:x]"),
]


class TestPrice:
    @pytest.mark.parametrize("piece", HOSTILE)
    def test_hostile(self, piece):
        """A quadratic rule would take many minutes for these 100 KB, and the test time out."""
        text = (piece * (100_000 // len(piece) + 1))[:100_000]
        cleaned, _ = REDACTOR.text(text)
        assert REDACTOR.text(cleaned)[0] == cleaned

    @pytest.mark.parametrize("piece", HOSTILE)
    def test_hostile_and_secret(self, piece):
        """A hostile run before a secret does not hide it."""
        text = piece * 200 + f"\n\n{JWT}\n"
        assert JWT not in REDACTOR.text(text)[0]

    def test_ordinary(self):
        """Ten megabytes of ordinary lines hold no secret."""
        line = (
            '{"id": 123, "key": "v-17", "url": "https://example.com/a?x=1", "said": "the token"}\n'
        )
        text = line * (10_000_000 // len(line))
        assert REDACTOR.text(text) == (text, {})

    def test_json(self):
        """A large JSON output without secrets is handed back itself."""
        value = {"data": {"application/json": [{"x": n, "y": "abc"} for n in range(20_000)]}}
        assert REDACTOR.value(value)[0] is value
        assert json.dumps(value)
