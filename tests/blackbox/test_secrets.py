"""No output ever shows a part of a secret, whichever way things fail; and passwords of any characters work."""

from urllib.parse import quote, urlsplit

from avro import COUNTING_VIEW, MOVEMENT, movement
from harness import wait_until
from hidden import assert_hidden, outputs_of

# Each is made of pieces that no output has by chance.
PASSWORDS = [
    "Zq7x@Wv9k@Jj3f",
    "Zq7x/Wv9k/Jj3f",
    "12/Zq7xWv9kJj3f",
    "Zq7x:Wv9k:Jj3f",
    "1234:Zq7xWv9k",
    "Zq7x#Wv9kJj3f",
    "12#Zq7xWv9k",
    "Zq7x%Wv9k%41Jj3f%",
    "Zq7x?Wv9k=Jj3f&Pp5d",
    "Zq7x Wv9k Jj3f",
    "\"Zq7x'Wv9k\\Jj3f`",
    "Zq7xüWv9k漢字Jj3f",
    "Zq7x@12/Wv9k?Jj3f=1#Pp5d",
    "Zq7x${Wv9k",
    "[Zq7x]{Wv9k}",
    "//Zq7x@Wv9k:33/Jj3f",
]
UNREACHABLE = "127.0.0.1:1"
CHECK = ("check",)
CONFIG = ("config",)
RUN = ("run", "--until-caught-up", "--progress", "none")
SQL = ("sql", "-c", "SELECT count(*) FROM batch")
STORED = ("sql", "--from", "stored", "-c", "SELECT count(*) FROM db.counted")
OTHERS = [("check", "--format", "json"), STORED, ("offsets", "show"), ("dead-letters", "list")]


def secret_job(new_job, topic, database, **config):
    config = {"database": database, "reference_tables": {}, "state_tables": {}, **config}
    job = new_job(topic, outputs={"counted": {"table": "counted", "mode": "append"}})
    job.write("schema.avsc", MOVEMENT)
    job.view("counted", COUNTING_VIEW)
    job.write_config(**config)
    return job


def test_passwords_of_any_characters_work(new_job, new_topic, database, user):
    topic = new_topic(partitions=1)
    topic.send_all([movement(1)])
    server = urlsplit(database.url).netloc.rpartition("@")[2]
    host, _, port = server.partition(":")
    for password in PASSWORDS:
        name = user(password)
        parts = {"host": host, "port": int(port), "user": name, "name": database.name}
        variables = {"DB_USER": name, "DB_PASSWORD": password, "DB_SERVER": server, "DB_NAME": database.name}
        whole = f"mysql://{name}:{quote(password, safe='')}@{server}/{database.name}"
        forms = [
            f"mysql://{name}:${{DB_PASSWORD}}@{server}/{database.name}",
            "mysql://${DB_USER}:${DB_PASSWORD}@${DB_SERVER}/${DB_NAME}",
            "${DB_URL}",
            {**parts, "password": "${DB_PASSWORD}"},
            {**parts, "password_file": "secret"},
        ]
        if "${" not in password:
            forms.append({**parts, "password": password})
        for form in forms:
            job = secret_job(new_job, topic, form)
            job.write("secret", password + "\n")
            codes, texts = outputs_of(job, [CHECK, RUN] if form == forms[0] else [RUN], **variables, DB_URL=whole)
            assert not any(codes), (form, texts)
            assert_hidden(password, *texts)


def test_a_secret_is_never_shown(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    topic.send_all([movement(1)])
    server = urlsplit(database.url).netloc.rpartition("@")[2]
    host, _, port = server.partition(":")
    for index, password in enumerate(PASSWORDS):
        parts = {"host": host, "port": int(port), "user": "nobody", "name": database.name, "password": password}
        # `src/config/tests.rs` tries each of these with each password; here each password meets some of them.
        wrong = [
            # Not parsed, or parsed as something else: the password as people write it.
            f"mysql://nobody:{password}@{server}/{database.name}",
            f"mysql://nobody:{password}",
            f"mysql://nobody@bank:{password}@{server}/{database.name}",
            f"mysql://{password}",
            f"mysql://nobody:{password}@{server}/{database.name}?ssl-mode={password}",
            f"mysql://nobody:x@{server}/{database.name}?{password}",
            f"oracle://nobody:{password}@{server}/{database.name}",
            f"nobody:{password}@tcp({server})/{database.name}",
            password,
            [password],
            {**parts, "port": password},
            {**parts, "ssl-mode": password},
            {**parts, "password": None, "passwrd": password},
            {**parts, "password": [password]},
            {**parts, "password": {password: 1}},
            {**parts, "password_file": "secret"},
            # Refused, and out of reach.
            f"mysql://nobody:{quote(password, safe='')}@{server}/{database.name}",
            "mysql://nobody:${DB_PASSWORD}@" + server + "/" + database.name,
            f"mysql://nobody:{quote(password, safe='')}@{UNREACHABLE}/{database.name}",
        ]
        for form in wrong[index % 4 :: 4]:
            job = secret_job(new_job, topic, form)
            # `run` waits for a server that is out of reach.
            commands = [CHECK, CONFIG] if UNREACHABLE in str(form) else [CHECK, RUN, SQL, CONFIG]
            codes, texts = outputs_of(job, commands, DB_PASSWORD=password)
            assert codes[0], (form, codes, texts)
            assert_hidden(password, *texts)


def test_a_server_that_refuses_or_does_not_answer_is_named_without_the_secret(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    secret = "Zq7xWv9k"
    server = urlsplit(database.url).netloc.rpartition("@")[2]
    for place in (server, UNREACHABLE):
        job = secret_job(new_job, topic, f"mysql://nobody:{secret}@{place}/bank")
        codes, texts = outputs_of(job, [CHECK, *OTHERS])
        assert all(codes), codes
        assert_hidden(secret, *texts)
    process = job.start()
    wait_until(lambda: "127.0.0.1:1" in process.stderr_text(), 30, process.stderr_text)
    process.terminate()
    process.wait(30)
    assert_hidden(secret, process.stderr_text())


def test_properties_of_kafka_are_not_shown(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    topic.send_all([movement(1)])
    logs = {"debug": "all"}
    for index, password in enumerate(PASSWORDS):
        secret = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "nobody"}
        wrong = [
            {**secret, "sasl.password": password, **logs},
            {"sasl.pasword": password},
            {"ssl.key.password": password, **logs},
            {"ssl.key.pem": password, "security.protocol": "SSL", **logs},
            {"ssl.keystore.password": password, "ssl.keystore.location": "nothing"},
            {"sasl.oauthbearer.config": password, "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER"},
            {"sasl.oauthbearer.client.secret": password},
            {"security.protocol": password},
            {"session.timeout.ms": password},
            {"sasl.password": [password]},
            [password],
            password,
        ]
        for properties in wrong[index % 4 :: 4]:
            job = secret_job(new_job, topic, database.url, kafka_properties=properties)
            codes, texts = outputs_of(job, [("check", "--offline"), CONFIG])
            assert_hidden(password, *texts)
    job = secret_job(new_job, topic, database.url, kafka_properties={**secret, "sasl.password": "Zq7xWv9k", **logs})
    job.write("sent.json", {"customer": 1})
    codes, texts = outputs_of(job, [CHECK, RUN, SQL, ("consume", "--count", "1"), ("produce", "sent.json")])
    assert all(codes), codes
    assert_hidden("Zq7xWv9k", *texts)
