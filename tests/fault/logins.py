#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Options of connections: a worker and every kind of command get in by each of them, on the command line, in the environment and
by a context of the nats command; domains of JetStream and prefixes of its API are crossed by all that they do."""
import json
import os
import re
import shutil
import subprocess
import sys
import types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import keys  # noqa: E402
import nats  # noqa: E402
from harness import BRAID, EXIT_FAILED, INPUT, Worker, check, check_words, until  # noqa: E402

LOGIN = "authorization { user: boss, password: boss }\n"
FED = 40


def environment(world, **more):
    """No login of whoever runs the tests; contexts are the test's."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("NATS_")}
    return {**own, "XDG_CONFIG_HOME": os.path.join(world.folder, "config"), **more}


def context(world, name, **settings):
    folder = os.path.join(world.folder, "config", "nats", "context")
    os.makedirs(folder, exist_ok=True)
    text = settings.pop("text", None)
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(settings) if text is None else text)


def libnats():
    """The version that the command is linked with."""
    linked = subprocess.run(["ldd", BRAID], stdout=subprocess.PIPE, text=True, check=True).stdout
    return tuple(map(int, re.search(r"libnats\.so\.(\d+)\.(\d+)", linked).groups()))


def works(world, *flags, replay=False, **variables):
    """A worker gets in, and each kind of command does."""
    env = environment(world, **variables)
    name = f"state{Worker.count}"
    worker = Worker(world, data=name, server=types.SimpleNamespace(url=world.url), flags=("--dev", *flags), env=env).started()

    def braid(*words, status=0):
        return world.braid(*words, "--server", world.url, *flags, env=env, status=status)
    rows = world.write("rows", "".join(json.dumps({"id": i, "key": "k", "amount": 1}) + "\n" for i in range(FED)))
    braid("publish", world.pipeline, "events", rows)
    world.published = getattr(world, "published", 0) + FED

    def counted():
        return json.loads(braid("query", "faults", "SELECT sum(n) AS n FROM totals", "--json")) == {"n": world.published}
    until(counted, "all is counted", worker=worker)
    check(json.loads(braid("status", "faults", "--json"))["control"]["connected"], "status")
    check(len(braid("tail", world.pipeline, "passed", "--from-start", "--no-follow").splitlines()) == world.published, "tail")
    check_words(braid("check", world.pipeline, "--streams"), "no errors")
    if replay:
        braid("replay", "start", world.pipeline)
        until(lambda: json.loads(braid("replay", "status", "faults", "r1", "--json"))["phase"] == "done", "the replay is done", worker=worker)
        braid("replay", "drop", "faults", "r1")
    worker.stopped()


def serve(world, config, **options):
    world.server = harness.Server(world, config=config, **options)
    world.url = world.server.url


def refused(world, *flags, words, **variables):
    """The worker and a question to one, with the same words."""
    env = environment(world, **variables)
    for command in (["run", world.pipeline, "--data", "refused", "--progress", "0"], ["status", "faults"], ["tail", world.pipeline]):
        said = world.braid(*command, "--server", world.url, *flags, env=env, status=EXIT_FAILED)
        check_words(said, *words)


def test_user_and_token(world):
    serve(world, LOGIN)
    works(world, "--user", "boss", "--password", "boss")
    works(world, "--user", "boss", NATS_PASSWORD="boss", NATS_USER="nobody", NATS_TOKEN="t", NATS_NKEY="/nowhere")
    works(world, NATS_USER="boss", NATS_PASSWORD="boss", NATS_TOKEN="t")
    refused(world, NATS_TOKEN="s3cret", words=["a token is given", "NATS_TOKEN"])
    world.server.stop()
    world.published = 0
    serve(world, 'authorization { token: "s3\\"cret" }\n', name="other")
    works(world, "--token", 's3"cret', NATS_USER="nobody", NATS_PASSWORD="x")
    works(world, NATS_TOKEN='s3"cret')
    refused(world, "--token", "wr0ng", NATS_USER="anna", words=["a token is given"])


def test_nkey(world):
    key, other = keys.Nkey(world.folder, "mine"), keys.Nkey(world.folder, "other")
    serve(world, f"authorization {{ users: [ {{ nkey: {key.public} }} ] }}\n")
    path = world.write("mine.nk", key.seed + "\n")
    works(world, "--nkey", path, NATS_CREDS="/nowhere", NATS_USER="nobody")
    works(world, NATS_NKEY=path)
    refused(world, "--nkey", world.write("other.nk", other.seed), words=["other.nk", "--nkey"])
    refused(world, "--nkey", "/nowhere.nk", words=["/nowhere.nk"])


def test_credentials_file(world):
    config, creds = keys.operator(world.folder)
    serve(world, config)
    path = world.write("user.creds", creds)
    works(world, "--creds", path, NATS_USER="nobody", NATS_PASSWORD="x")
    works(world, NATS_CREDS=path)


def test_tls_certificate(world):
    keys.certificates(world.folder)
    folder = world.folder
    serve(world, f'tls {{ cert_file: "{folder}/server.pem", key_file: "{folder}/server.key", ca_file: "{folder}/ca.pem", '
          'verify_and_map: true }\nauthorization { users: [ { user: "CN=client" } ] }\n')
    world.url = world.url.replace("nats://", "tls://")
    ca = ("--tlsca", f"{folder}/ca.pem")
    works(world, *ca, "--tlscert", f"{folder}/client.pem", "--tlskey", f"{folder}/client.key")
    works(world, NATS_CA=f"{folder}/ca.pem", NATS_CERT=f"{folder}/client.pem", NATS_KEY=f"{folder}/client.key")
    refused(world, *ca, words=["wants a client certificate", "--tlscert"])


def test_tls_first(world):
    keys.certificates(world.folder)
    folder = world.folder
    serve(world, f'tls {{ cert_file: "{folder}/server.pem", key_file: "{folder}/server.key", handshake_first: true }}\n')
    flags = ("--tls-first", "--tlsca", f"{folder}/ca.pem")
    if libnats() < (3, 9):
        for command in (["run", world.pipeline, "--data", "state"], ["tail", world.pipeline], ["status", "faults"], ["query", "faults", "SELECT 1"]):
            said = world.braid(*command, "--server", world.url, *flags, env=environment(world), status=EXIT_FAILED)
            check_words(said, "--tls-first", f"libnats {libnats()[0]}.{libnats()[1]}.", "3.9")
        raise harness.Skip(f"libnats {libnats()} can't begin with TLS, and that is said; what works from 3.9 on is tested with a newer one")
    works(world, *flags)


def test_contexts(world):
    serve(world, LOGIN)
    real, world.url = world.url, "nats://127.0.0.1:1"  # --server goes before the context's
    context(world, "main", url=real, user="boss", password="boss", description="", nsc="", socks_proxy="", token="", color_scheme="x",
            windows_ca_certs_match=None)

    def said(name, *flags, status=EXIT_FAILED, **variables):
        return world.braid("status", "faults", "--context", name, *flags, env=environment(world, **variables), status=status)
    reached = "no worker answers on 'braid_api.faults.status'"
    check_words(said("main"), reached)
    check_words(said("main", NATS_URL="nats://127.0.0.1:1", NATS_USER="nobody", NATS_CREDS="/nowhere"), reached)
    check_words(said("main", "--server", "nats://127.0.0.1:1"), "127.0.0.1:1")
    check_words(said("main", "--user", "nobody"), "refuses the credentials (nobody)")  # the password is boss's
    check_words(said("main", "--token", "t"), "refuses the credentials (a token is given)")
    check_words(said("-"), "no context is selected", "context.txt")
    world.write("config/nats/context.txt", "main\n")
    check_words(said("-"), reached)
    check_words(world.braid("status", "faults", env=environment(world), status=EXIT_FAILED), ":4222")  # only when asked
    world.url = real
    works(world, "--context", "main")
    for name, words, settings in (
            ("none", ["none.json"], None),
            ("../../x", ["no name of a context"], None),
            ("", ["no name of a context"], None),
            ("broken", ["broken.json", "byte"], {"text": '{"url": "x",}'}),
            ("list", ["list.json", "object"], {"text": "[1]"}),
            ("large", ["large.json", "KiB"], {"text": '{"description": "' + "x" * 100000 + '"}'}),
            ("deep", ["deep.json"], {"text": "[" * 5000}),
            ("number", ["number.json", '"user"'], {"user": 3}),
            ("nul", ["nul.json", '"password"'], {"password": "a\0b"}),
            ("first", ["first.json", '"tls_first"'], {"tls_first": "yes"}),
            ("proxy", ["proxy.json", '"socks_proxy"'], {"url": real, "socks_proxy": "socks5://x"}),
            ("nsc", ["nsc.json", '"nsc"', "creds"], {"url": real, "nsc": "nsc://x"}),
            ("jwt", ["jwt.json", '"user_jwt"'], {"url": real, "user_jwt": "x", "user_seed": "S3CRET"})):
        if settings is not None:
            context(world, name, **settings)
        check_words(said(name), *words)
        check("S3CRET" not in said(name), said(name))
    os.makedirs(os.path.join(world.folder, "config/nats/context/folder.json"))
    check_words(said("folder"), "folder.json", "no file")
    os.mkfifo(os.path.join(world.folder, "config/nats/context/pipe.json"))
    check_words(said("pipe"), "pipe.json", "no file")
    context(world, "newer", url=real, user="boss", password="boss", sort_of_login={"x": 1})
    check_words(said("newer"), "newer.json", '"sort_of_login"', "left aside", reached)


def test_a_context_has_all_that_options_have(world):
    keys.certificates(world.folder)
    key = keys.Nkey(world.folder, "mine")
    folder = world.folder
    world.write("mine.nk", key.seed)
    serve(world, f'tls {{ cert_file: "{folder}/server.pem", key_file: "{folder}/server.key", ca_file: "{folder}/ca.pem", verify: true }}\n'
          f"authorization {{ users: [ {{ nkey: {key.public} }} ] }}\n", storage="domain: hub")
    context(world, "all", url="nats://127.0.0.1:1", nkey="~/mine.nk", ca="~/ca.pem", cert="~/client.pem", key="~/client.key",
            inbox_prefix="_INBOX_own", jetstream_domain="hub", tls_first=False)
    works(world, "--context", "all", HOME=folder, NATS_CREDS="/nowhere", NATS_CERT="/nowhere", NATS_KEY="/nowhere", NATS_CA="/nowhere")


def test_a_domain_behind_a_leaf_node(world):
    """The worker and the commands are at a server that has no JetStream; the domain is the hub's."""
    with nats.socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hub = harness.Server(world, name="hub", config=f'leafnodes {{ listen: "127.0.0.1:{port}" }}\n', storage="domain: hub")
    serve(world, f'leafnodes {{ remotes: [ {{ url: "nats://127.0.0.1:{port}" }} ] }}\n', name="leaf", storage="domain: leaf")
    world.client = hub.connect()
    world.client.create_stream(INPUT, ["faults.in"])

    def through():
        try:
            leaf = world.server.connect()
            leaf.request("$JS.hub.API.INFO", timeout_s=1)
            leaf.close()
            return True
        except nats.NatsError:
            return False
    until(through, "the leaf node's connection")
    works(world, "--js-domain", "hub", replay=True)
    streams = world.client.api("STREAM.NAMES", {})["streams"]
    check({"BRAID_faults", "KV_BRAID_faults_replays"} <= set(streams), streams)
    leaf = world.server.connect()
    check(not leaf.api("STREAM.NAMES", {})["streams"], "nothing is made in the leaf's own domain")
    leaf.close()


def test_a_prefix_of_another_accounts_api(world):
    """JetStream is another account's, which exports its API and what the pipeline's subjects are."""
    services = ["$JS.API.>", "$JS.FC.>", "$KV.>", "faults.in", "braid.>"]
    # Who pulls gets many messages as the answer to one request.
    exports = ", ".join([f'{{ service: "{subject}", response_type: stream }}' for subject in services] + ['{ stream: "_INBOX_own.>" }'])
    imports = ", ".join([f'{{ service: {{ account: JS, subject: "{subject}" }}{to} }}' for subject, to in (
        ("$JS.API.>", ', to: "JS.other.API.>"'), ("$KV.>", ', to: "JS.other.API.$KV.>"'), ("$JS.FC.>", ""), ("faults.in", ""), ("braid.>", ""))]
        + ['{ stream: { account: JS, subject: "_INBOX_own.>" } }'])
    serve(world, "accounts {\n"
          f"  JS: {{ jetstream: enabled, users: [ {{ user: js, password: js }} ], exports: [ {exports} ] }}\n"
          f"  APP: {{ users: [ {{ user: app, password: app }} ], imports: [ {imports} ] }}\n"
          "}\n")
    world.client = nats.Nats(f"nats://js:js@127.0.0.1:{world.server.port}")
    world.client.create_stream(INPUT, ["faults.in"])
    works(world, "--user", "app", "--password", "app", "--js-api-prefix", "JS.other.API", "--inbox-prefix", "_INBOX_own", replay=True)


def test_secrets_are_no_arguments_for_long_and_in_no_line(world):
    serve(world, 'authorization { token: "open-sesame" }\n')
    host = f"127.0.0.1:{world.server.port}"
    for url, flags in ((f"nats://{host}", ("--token", "open-sesame")), (f"nats://{host}", ("--token=open-sesame",)),
                       (f"nats://open-sesame@{host}", ())):
        worker = Worker(world, server=types.SimpleNamespace(url=url), flags=("--dev", *flags), env=environment(world)).started()
        with open(f"/proc/{worker.process.pid}/cmdline", "rb") as file:
            line = file.read()
        check(b"open-sesame" not in line and host.encode() in line, line)
        check("open-sesame" not in worker.log(), worker.log())
        worker.stopped()


def test_the_way_out_tells_how_to_connect_and_no_secret(world):
    """A stream that is put back, and filled up with others' messages, is refused with the command that goes on."""
    serve(world, LOGIN)
    host = f"127.0.0.1:{world.server.port}"
    world.server.url = f"nats://boss:boss@{host}"
    world.client = world.server.connect()
    world.client.create_stream(INPUT, ["faults.in"])
    context(world, "main", url=f"nats://{host}", user="boss", password="boss")
    env, here = environment(world), types.SimpleNamespace(url=f"nats://{host}")
    worker = Worker(world, server=here, flags=("--context", "main"), env=env).started()
    stream, copy = os.path.join(world.server.store, "jetstream", "$G", "streams", INPUT), os.path.join(world.folder, "copy")

    def read(count):
        world.feed(count)
        asked = ("query", "faults", "SELECT sum(n) AS n FROM totals", "--json", "--context", "main")
        until(lambda: json.loads(world.braid(*asked, env=env)) == {"n": world.fed}, "it is read", worker=worker)
    read(30)
    world.server.stop()
    shutil.copytree(stream, copy)
    world.server.start()
    world.reconnect()
    read(20)
    worker.kill()
    world.server.stop()
    shutil.rmtree(stream)
    shutil.copytree(copy, stream)
    world.server.start()
    world.reconnect()
    world.feed(50)
    worker = Worker(world, flags=("--context", "main", "--inbox-prefix", "_INBOX.x"), env=env)
    worker.failed("What it would read", "--context main", "--inbox-prefix _INBOX.x", f"--server nats://xxxxxxxxx@{host}")
    check("boss:boss" not in worker.log(), worker.log())


harness.main()
