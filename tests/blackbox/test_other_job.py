"""Another schema, other SQL and other reference tables, by a new configuration file alone.

Names have capitals and accents; the reference tables come from a CSV file with semicolons, an NDJSON file, a keyed
table and a whole query of the database.
"""

import io
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import fastavro

ROWS = 5000


def field(name, kind):
    return {"name": name, "type": kind}


MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
INSTANT = {"type": "long", "logicalType": "timestamp-millis"}
SCHEMA = {
    "type": "record",
    "name": "Transação",
    "fields": [
        field("Número", "long"),
        field("IdCliente", "string"),
        field("Descrição", ["null", "string"]),
        field("ValorTotal", MONEY),
        field("moeda", "string"),
        field("Região", "int"),
        field("QuandoFeito", INSTANT),
    ],
}
# Binary Avro carries no names, and fastavro takes only ASCII ones.
PLAIN = {**SCHEMA, "name": "T", "fields": [{**f, "name": f"f{i}"} for i, f in enumerate(SCHEMA["fields"])]}

VIEW_PRICED = """
SELECT b.Número, b.IdCliente, b.Descrição, b.Região, b.QuandoFeito, c.Nome AS NomeCliente,
       b.ValorTotal AS ValorTotal,
       CAST(b.ValorTotal * CAST(m.Taxa AS DECIMAL(10, 4)) AS DECIMAL(18, 2)) AS ValorEmReais
FROM batch b
LEFT JOIN clientes c ON b.IdCliente = c.Código
LEFT JOIN moedas m ON b.moeda = m.sigla
"""
VIEW_SALES = """
SELECT p.*, r.Nome AS NomeRegião, l.limite IS NOT NULL AND p.ValorEmReais > l.limite AS AcimaDoLimite
FROM com_preço p
LEFT JOIN regiões r ON p.Região = r.Id
CROSS JOIN limites l
"""


def test_a_job_of_ones_own(new_job, new_topic, database):
    random.seed(7)
    topic = new_topic(partitions=3, word="vendas")
    database.execute("CREATE TABLE tabela_regiões (Id INT PRIMARY KEY, Nome VARCHAR(40) NOT NULL)")
    database.execute("CREATE TABLE tabela_limites (tipo VARCHAR(10) PRIMARY KEY, valor DECIMAL(18,2))")
    database.execute("INSERT INTO tabela_limites VALUES ('geral', 900.00), ('outro', 1.00)")
    regions = {i: f"Região {i} ção" for i in range(0, 3000, 2)}
    for i, name in regions.items():
        database.execute("INSERT INTO tabela_regiões VALUES (%s, %s)", i, name)
    names = {f"C{i:03}": f"José; da Silva nº {i}" for i in range(200)}
    rates = {"BRL": "1.0000", "EUR": "5.4321", "USD": "4.9876"}

    job = new_job(
        topic,
        avro_schema="esquemas/transação.avsc",
        sql="consultas",
        reference_tables={
            "clientes": {"file": "dados/clientes.csv", "delimiter": ";", "key": "Código", "matches": "IdCliente"},
            "moedas": {"file": "dados/moedas.ndjson", "key": "sigla", "matches": "moeda"},
            "regiões": {"table": "tabela_regiões", "key": "Id", "matches": "Região"},
            "limites": {"query": "SELECT valor AS limite FROM tabela_limites WHERE tipo = 'geral'"},
        },
        outputs={"Vendas": {"table": "Vendas_Feitas", "mode": "append"}},
    )
    job.write("esquemas/transação.avsc", SCHEMA)
    job.write("consultas/com_preço.sql", VIEW_PRICED)
    job.write("consultas/Vendas.sql", VIEW_SALES)
    job.write("dados/clientes.csv", "Código;Nome\n" + "".join(f'{k};"{v}"\n' for k, v in names.items()))
    job.write("dados/moedas.ndjson", "".join(json.dumps({"sigla": k, "Taxa": v}) + "\n" for k, v in rates.items()))

    parsed = fastavro.parse_schema(PLAIN)
    expected = []
    for number in range(ROWS):
        value = Decimal(random.randrange(-99_999, 99_999)) / 100
        customer, region = f"C{random.randrange(220):03}", random.randrange(3000)
        currency = random.choice([*rates, "XXX"])
        text = random.choice([None, "", "açúcar 'e' \"café\"", "linha\n\tdois\\", "日本 🍰"])
        when = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(milliseconds=random.randrange(10**11))
        out = io.BytesIO()
        values = (number, customer, text, value, currency, region, when)
        fastavro.schemaless_writer(out, parsed, {f"f{i}": v for i, v in enumerate(values)})
        topic.send(out.getvalue(), key=customer)
        exact = value * Decimal(rates[currency]) if currency in rates else None
        expected.append(
            (
                number,
                customer,
                text,
                region,
                when.replace(tzinfo=None),
                names.get(customer),
                value,
                exact,
                regions.get(region),
            )
        )
    topic.flush()
    job.catch_up()

    assert database.columns("Vendas_Feitas")[-9:] != []
    rows = database.rows(
        "SELECT Número, IdCliente, Descrição, Região, QuandoFeito, NomeCliente, ValorTotal, ValorEmReais, NomeRegião,"
        " AcimaDoLimite FROM Vendas_Feitas ORDER BY Número"
    )
    assert len(rows) == ROWS
    for row, want in zip(rows, expected, strict=True):
        assert row[:7] == want[:7]
        assert row[8] == want[8]
        if want[7] is None:
            assert row[7] is None
        else:
            # A cent's half may be rounded either way.
            assert abs(row[7] - want[7]) <= Decimal("0.005")
            assert bool(row[9]) == (row[7] > 900)
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0
