#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Field numbers over a changed file, as others see them: publishers and subscribers are protoc with a .proto that `braid schema
export` once gave them, and must read what they always read."""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import harness  # noqa: E402
import proto  # noqa: E402
from harness import EXIT_NO, EXIT_OK, PATIENCE_S, Worker, check, check_words, until  # noqa: E402

OUTPUT = "BRAID_shop"
OLD = """SET braid.pipeline = 'shop';
CREATE TABLE people (id text NOT NULL, name text, email text, visits bigint) WITH (subject = 'people');
CREATE MATERIALIZED VIEW contacts WITH (subject = 'contacts') AS
SELECT id, max(name) AS name, max(email) AS email, sum(visits) AS visits FROM people GROUP BY id;
CREATE MATERIALIZED VIEW reached WITH (subject = 'reached') AS SELECT count(*) AS n FROM people WHERE email LIKE '%@%';
"""
# A column in the middle of both.
NEW = OLD.replace("name text, email", "name text, home text, email").replace(
    "AS name, max(email)", "AS name, max(home) AS home, max(email)")
SETTING = "SET braid.fields = 'new.fields';"


def command(world, verb, *words, status=EXIT_OK):
    return world.braid("replay", verb, "shop", *words, "--server", world.server.url, status=status)


def exported(world, path, name):
    """The .proto of a file's messages as others keep it."""
    return world.write(name, world.braid("schema", "export", path))


def foreign(world, how, schema, message, text):
    """protoc --encode or --decode."""
    done = subprocess.run(["protoc", "-I", world.folder, f"--{how}={message}", os.path.basename(schema)], input=text,
                          capture_output=True, cwd=world.folder, check=True)
    return done.stdout


def publish(world, schema, **fields):
    text = "".join(f"{name}: {json.dumps(value)}\n" for name, value in fields.items())
    world.client.store("people", foreign(world, "encode", schema, "shop.people", text.encode()))


def published(world, subject):
    return [m for m in world.client.stored(OUTPUT, subject) if m.header("Braid-Op") in ("upsert", "insert")]


def read(world, schema, message):
    """The last row of each id, as a subscriber with that schema reads it."""
    rows = {}
    for stored in world.client.stored(OUTPUT, message.split(".")[1]):
        text = foreign(world, "decode", schema, message, stored.payload).decode()
        row = {name: json.loads(value) for name, value in re.findall(r"^(\w+): (.*)$", text, re.M)}
        if stored.header("Braid-Op") == "upsert":
            rows[row.get("id")] = row
        else:
            rows.pop(row.get("id"), None)
    return rows


def caught_up(world, worker, stream="IN_PEOPLE"):
    last = world.client.stream(stream)["last_seq"]

    def done():
        found = subprocess.run([harness.BRAID, "status", "shop", "--json", "--server", world.server.url], capture_output=True,
                               text=True, stdin=subprocess.DEVNULL, check=False, timeout=PATIENCE_S)
        status = json.loads(found.stdout) if found.returncode == 0 else None
        return status and status["inputs"][0]["sequence"] == last and status["committed"] == status["epoch"]
    until(done, f"the worker consumes everything up to {last}", worker=worker)


def opened(world, sql=OLD):
    world.server = harness.Server(world)
    world.client = world.server.connect()
    world.client.create_stream("IN_PEOPLE", ["people"])
    world.old = world.write("old.sql", sql)
    return Worker(world, pipeline=world.old).started()


def with_people(world):
    worker = opened(world)
    world.schema = exported(world, world.old, "old.proto")
    for i in range(10):
        publish(world, world.schema, id=f"p{i}", name=f"name{i}", email=f"p{i}@here", visits=i)
    caught_up(world, worker)
    return worker


def check_former_reader(world, count):
    """A subscriber that knows the former schema only."""
    rows = read(world, world.schema, "shop.contacts")
    check(len(rows) == count, f"{len(rows)} rows")
    for name, row in rows.items():
        number = int(name[1:])
        check(row["name"] == f"name{number}" and row["email"] == f"p{number}@here" and row["visits"] == str(number),
              f"a subscriber with the former schema reads {row}")


def mend(world, said):
    """Does what the message says: the line for the file, then the command."""
    setting, path, line = re.search(r"write (SET braid\.fields = '[^']+';) into (\S+?), then (braid schema lock [^;]+?)(?:;|$)",
                                    said, re.M).groups()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    world.write(os.path.basename(path), text.replace("\n", "\n" + setting + "\n", 1))
    words = shlex.split(line)
    check(words[:3] == ["braid", "schema", "lock"], line)
    needs_server = "--running" in words and "--server" not in words
    return world.braid(*words[1:], *(["--server", world.server.url] if needs_server else []))


def test_a_move_is_refused_and_what_is_told_mends_it(world):
    worker = with_people(world)
    new = world.write("new.sql", NEW)
    plan = subprocess.run([harness.BRAID, "replay", "plan", "shop", "--pipeline", new, "--server", world.server.url],
                          capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    check(plan.returncode == EXIT_NO, plan)
    check_words(plan.stdout, "field numbers move", 'field 4 "email" of shop.people was 3', 'field 4 "email" of shop.contacts was 3',
                'field 5 "visits" of shop.people was 4', 'field 5 "visits" of shop.contacts was 4')
    said = command(world, "start", "--pipeline", new, status=EXIT_NO)
    check_words(said, 'field 4 "email" of shop.contacts was 3', "--allow-incompatible")
    check(command(world, "list").count("\n") == 1, "a refused replay was made")
    # Who insists may look at it, but promoting it is another matter.
    name = command(world, "start", "--pipeline", new, "--allow-incompatible", "--wait").split()[0]
    done = subprocess.run([harness.BRAID, "replay", "promote", "shop", name, "--wait", "--server", world.server.url],
                          capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    check(done.returncode == EXIT_NO, done)
    check_words(done.stderr, "field numbers move", 'field 4 "email" of shop.contacts was 3', "start a new replay")
    check(json.loads(command(world, "status", name, "--json"))["phase"] == "done", "it can still be compared")
    check_former_reader(world, 10)
    told = mend(world, done.stderr)
    check_words(told, 'contacts: "home" has number 5', 'people: "home" has number 5')
    check_words(world.braid("check", new, "--against", world.old), "no errors")
    command(world, "drop", name, "--wait")
    promoted(world, worker, new)


def test_what_a_worker_says_of_a_move_works_when_it_is_followed(world):
    worker = with_people(world)
    worker.stopped()
    new = world.write("new.sql", NEW)
    refused = Worker(world, pipeline=new)
    refused.failed("field numbers move", "has changed")
    said = refused.log()
    mend(world, said)
    worker = Worker(world, pipeline=world.old).started()
    start, promote = re.findall(r"^braid (replay (?:start|promote) .*)$", said, re.M)
    name = world.braid(*shlex.split(start)).split()[0]
    world.braid(*[name if word == "NAME" else word for word in shlex.split(promote)], "--wait")
    publish(world, world.schema, id="p10", name="name10", email="p10@here", visits=10)
    caught_up(world, worker)
    check_former_reader(world, 11)
    worker.stopped()
    Worker(world, pipeline=new).started().stopped()


def promoted(world, worker, new):
    """The changed file is rolled out: publishers and subscribers with either schema go on."""
    name = command(world, "start", "--pipeline", new, "--wait").split()[0]
    command(world, "diff", name, "--fail-on", "unknown>0")
    command(world, "promote", name, "--wait")
    later = exported(world, new, "new.proto")
    publish(world, world.schema, id="p10", name="name10", email="p10@here", visits=10)
    publish(world, later, id="p11", name="name11", home="street 11", email="p11@here", visits=11)
    caught_up(world, worker)
    check_former_reader(world, 12)
    rows = read(world, later, "shop.contacts")
    check(rows["p11"]["home"] == "street 11" and rows["p10"].get("home") is None, rows)
    reached = read(world, later, "shop.reached")[None]
    check(reached == {"n": 12}, f"old events count as they did: {reached}")
    # Who comes later, has lost everything or asks, has the same numbers.
    worker.stopped()
    shutil.rmtree(worker.data)
    worker = Worker(world, pipeline=new).started()
    publish(world, world.schema, id="p12", name="name12", email="p12@here", visits=12)
    caught_up(world, worker)
    check_former_reader(world, 13)
    texts = [proto.read(bytes_) for _, bytes_ in world.client.messages(OUTPUT, "braid.shop.plan.*")]
    with open(os.path.join(world.folder, "new.fields"), "rb") as file:
        check(texts[-1][9] == [file.read()], "the plan's record carries the numbers")
    command(world, "verify", "--wait")
    os.rename(os.path.join(world.folder, "new.fields"), os.path.join(world.folder, "elsewhere"))
    check_words(world.braid("check", new, status=EXIT_NO), "new.fields: No such file", "braid schema lock")
    command(world, "rollback", name, "--wait")
    check_former_reader(world, 13)
    publish(world, world.schema, id="p13", name="name13", email="p13@here", visits=13)
    caught_up(world, worker)
    check_former_reader(world, 14)


def test_without_numbers_to_keep_the_move_is_taken_when_it_is_meant(world):
    worker = with_people(world)
    new = world.write("new.sql", NEW)
    name = command(world, "start", "--pipeline", new, "--allow-incompatible", "--wait").split()[0]
    command(world, "promote", name, "--allow-incompatible", "--wait")
    caught_up(world, worker)
    rows = read(world, exported(world, new, "new.proto"), "shop.contacts")
    check(rows == {}, f"events by the former schema, whose number 4 is another type now, are still read: {rows}")


def test_a_changed_lock_is_another_plan(world):
    worker = with_people(world)
    worker.stopped()
    locked = world.write("locked.sql", OLD.replace("\n", "\nSET braid.fields = 'locked.fields';\n", 1))
    check_words(world.braid("schema", "lock", locked), "a new file")
    worker = Worker(world, pipeline=locked).started()  # the same numbers: the same plan
    publish(world, world.schema, id="p10", name="name10", email="p10@here", visits=10)
    caught_up(world, worker)
    worker.stopped()
    path = os.path.join(world.folder, "locked.fields")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    world.write("locked.fields", text.replace("3 string email", "9 string email"))
    worker = Worker(world, pipeline=locked)
    worker.failed("has changed", 'field 9 "email" of shop.contacts was 3', 'field 9 "email" of shop.people was 3')
    check_former_reader(world, 11)


# --- messages of the user's own
CUSTOMER = """syntax = "proto3";
package own;
enum Status { NEW = 0; PAID = 1; %s}
message Customer {
  optional string id = 1; optional string name = 2; optional string email = %d; Status status = 4;
  optional string a = 5; optional string b = 6; optional string c = 7; optional string d = 8;
  %s
}
"""
OWN = """SET braid.pipeline = 'shop';
SET braid.descriptors = '%s.binpb';
CREATE TABLE people (PRIMARY KEY (id)) WITH (subject = 'people', message = 'own.Customer');
CREATE MATERIALIZED VIEW mails AS SELECT id, email, d FROM people;
CREATE MATERIALIZED VIEW stati AS SELECT status, count(*) AS n FROM people GROUP BY status;
CREATE MATERIALIZED VIEW other AS SELECT a, count(*) AS n FROM people%s GROUP BY a;
"""


def own(world, name, text, condition=""):
    world.write(f"{name}.proto", text)
    subprocess.run(["protoc", "--include_imports", f"--descriptor_set_out={name}.binpb", f"{name}.proto"], cwd=world.folder,
                   check=True)
    return world.write(f"{name}.sql", OWN % (name, condition))


def publish_own(world, i, name="was", **more):
    fields = {"id": f"p{i}", "email": f"p{i}@here", "a": f"a{i % 3}", "d": f"d{i}", **more}
    text = "".join(f"{field}: {value if field == 'status' else json.dumps(value)}\n" for field, value in fields.items())
    world.client.store("people", foreign(world, "encode", f"{name}.proto", "own.Customer", text.encode()))


def rows_of(world, sql):
    text = world.braid("query", "shop", sql, "--json", "--server", world.server.url)
    return [json.loads(line) for line in text.splitlines()]


def check_own(world, count, other):
    rows = {row["id"]: row for row in rows_of(world, "SELECT * FROM mails")}
    check(rows == {f"p{i}": {"id": f"p{i}", "email": f"p{i}@here", "d": f"d{i}"} for i in range(count)}, rows)
    stati = {row["status"]: row["n"] for row in rows_of(world, "SELECT * FROM stati")}
    check(sum(stati.values()) == count, stati)
    check(sum(row["n"] for row in rows_of(world, "SELECT * FROM other")) == other, "the rebuilt view")
    return stati


def own_opened(world, count=20):
    own(world, "was", CUSTOMER % ("", 3, ""))
    worker = opened(world, OWN % ("was", ""))
    for i in range(count):
        publish_own(world, i, status="PAID" if i % 2 else "NEW")
    caught_up(world, worker)
    check(check_own(world, count, count) == {"PAID": count // 2, "NEW": count // 2}, "before")
    return worker


def verdicts(world, new):
    plan = json.loads(command(world, "plan", "--pipeline", new, "--json"))
    check(plan["moves"] == [], plan["moves"])
    return {view["view"]: (view["verdict"], view["taken_over"]) for view in plan["views"]}


def start_anew(world, worker, new):
    worker.stopped()
    shutil.rmtree(worker.data)  # the state of views that were kept is built from the former lineage's commits
    worker = Worker(world, pipeline=new).started()
    caught_up(world, worker)
    return worker


# The ninth field of the table makes its rows' bitmaps longer.
PHONE = "optional string phone = 9;"


def test_a_field_more_is_no_reason_to_rebuild(world):
    worker = own_opened(world)
    # One view changes, and reads the table's rows with the others.
    new = own(world, "grown", CUSTOMER % ("", 3, PHONE), " WHERE id <> 'p0'")
    found = verdicts(world, new)
    check(found == {"mails": ("keep", True), "stati": ("keep", True), "other": ("rebuild", False)}, found)
    name = command(world, "start", "--pipeline", new, "--wait").split()[0]
    report = json.loads(command(world, "diff", name, "--json", "--fail-on", "unknown>0"))
    views = {view["view"]: view for view in report["views"]}
    check(views["mails"]["equal"] == 20 and not views["mails"]["changed"], views["mails"])
    command(world, "promote", name, "--wait")
    publish_own(world, 20, "grown", status="PAID", phone="1")
    publish_own(world, 3, status="NEW")  # of a row that was taken over
    caught_up(world, worker)
    check(check_own(world, 21, 20) == {"PAID": 10, "NEW": 11}, "after the promotion")
    worker = start_anew(world, worker, new)
    check(check_own(world, 21, 20) == {"PAID": 10, "NEW": 11}, "rebuilt")
    worker.stopped()


def test_only_the_message_grows(world):
    worker = own_opened(world)
    new = own(world, "grown", CUSTOMER % ("BACK = 2; ", 3, PHONE))
    publish_own(world, 4, "grown", status="BACK", phone="1")  # publishers come first
    caught_up(world, worker)
    check_words(command(world, "plan", "--pipeline", new), "its state is taken over", "nothing: views that read it",
                'own.Status has "BACK" (2) too from now on')
    name = command(world, "start", "--pipeline", new, "--wait").split()[0]
    command(world, "promote", name, "--wait")
    corrected = [m for m in world.client.stored(OUTPUT, "braid.shop.view.>") if m.header("Braid-Replay")]
    check(not corrected, f"{len(corrected)} corrections")
    check(check_own(world, 20, 20) == {"PAID": 10, "NEW": 9, "2": 1}, "what was recorded stays")
    publish_own(world, 20, "grown", status="BACK", phone="1")
    publish_own(world, 4, "grown", status="PAID")
    caught_up(world, worker)
    check(check_own(world, 21, 21) == {"PAID": 11, "NEW": 9, "BACK": 1}, "after the promotion")
    worker = start_anew(world, worker, new)
    check(check_own(world, 21, 21) == {"PAID": 11, "NEW": 9, "BACK": 1}, "rebuilt")
    worker.stopped()


def test_rows_with_a_value_that_had_no_name_are_of_one_making(world):
    worker = own_opened(world)
    publish_own(world, 4, "was", status="PAID")
    new = own(world, "grown", CUSTOMER % ("BACK = 2; ", 3, PHONE), " WHERE id <> 'p0'")
    publish_own(world, 5, "grown", status="BACK")
    caught_up(world, worker)
    found = verdicts(world, new)
    check(found == {"mails": ("keep", False), "stati": ("keep", False), "other": ("rebuild", False)}, found)
    check_words(command(world, "plan", "--pipeline", new), "computed again all the same: shares stored rows with view")
    name = command(world, "start", "--pipeline", new, "--wait").split()[0]
    report = json.loads(command(world, "diff", name, "--json", "--fail-on", "unknown>0"))
    stati = next(view for view in report["views"] if view["view"] == "stati")
    check((stati["missing"], stati["extra"]) == (1, 1), stati)
    command(world, "promote", name, "--wait")
    check(check_own(world, 20, 19) == {"PAID": 10, "NEW": 9, "BACK": 1}, "after the promotion")
    worker = start_anew(world, worker, new)
    check(check_own(world, 20, 19) == {"PAID": 10, "NEW": 9, "BACK": 1}, "rebuilt")
    worker.stopped()


def test_a_renumbered_field_of_an_input_is_named(world):
    own(world, "was", CUSTOMER % ("", 3, ""))
    worker = opened(world, OWN % ("was", ""))
    publish_own(world, 0)
    caught_up(world, worker)
    new = own(world, "moved", CUSTOMER % ("", 10, ""))
    said = command(world, "start", "--pipeline", new, status=EXIT_NO)
    check_words(said, 'field 10 "email" of own.Customer was 3', "keep them in the .proto", "CREATE CAST", "--allow-incompatible")
    name = command(world, "start", "--pipeline", new, "--allow-incompatible", "--wait").split()[0]
    done = subprocess.run([harness.BRAID, "replay", "promote", "shop", name, "--wait", "--server", world.server.url],
                          capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    check(done.returncode == EXIT_NO and 'field 10 "email" of own.Customer was 3' in done.stderr, done)
    check(rows_of(world, "SELECT email FROM mails") == [{"email": "p0@here"}], "the owner's rows stay")
    worker.stopped()


harness.main()
