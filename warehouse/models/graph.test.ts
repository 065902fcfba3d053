import { describe, expect, test } from "vitest";
import { lineage } from "./lineage.ts";
import { selectSteps } from "./select-steps.ts";
import { graphOf, packageGraph, sqlFile } from "./test-warehouse.ts";

const orders = sqlFile(
  "models/core/orders.sql",
  "-- One row per order.\n-- key: order_id\nselect id as order_id, amount from staging.shop__orders\n",
);
const staging = sqlFile(
  "models/staging/shop__orders.sql",
  "-- One row per order.\nselect id, amount from raw.shop__orders\n",
);

/** The message that loading a mart model of this text gives. */
async function refusal(select: string, header = "-- One row per thing.\n-- key: order_id\n"): Promise<string> {
  const model = sqlFile("models/mart/things.sql", header + select);
  return await graphOf([staging, orders, model]).then(
    () => "accepted",
    (error: Error) => error.message,
  );
}

describe("a model's select", () => {
  test.each([
    ["select order_id from core.orders", "accepted"],
    ["select o.order_id from core.orders as o join core.orders as p on p.order_id = o.order_id", "accepted"],
    ["select order_id from core.orders join core.orders as p using (order_id)", "accepted"],
    ["with core as (select order_id from core.orders) select order_id from core", "accepted"],
    [
      "with recursive n as (select 1 as order_id union all select order_id + 1 from n where order_id < 3) select order_id from n",
      "accepted",
    ],
    ["select o.order_id, o.amount as total from core.orders as o, core.orders as p order by total", "accepted"],
    ["select order_id from core.orders;\n-- the end\n", "accepted"],
    [
      "select order_id from (select o.order_id from core.orders as o) as x where exists (select from core.orders as p where p.order_id = x.order_id)",
      "accepted",
    ],
    [
      "select o.order_id, amount from core.orders as o\njoin core.orders as p on true",
      'things.sql:3: "amount" is read beside more than one relation; write alias.amount.',
    ],
    ["select * from core.orders as o, core.orders as p", "write alias.*"],
    ["select order_id from core.orders o natural join core.orders p", "things.sql:3: natural join"],
    ["select order_id into x from core.orders", "into is not allowed"],
    ["select order_id from core.orders for update", "for update and for share are not allowed"],
    ["with d as (delete from core.orders returning *) select order_id from d", 'things.sql:3: "d" writes data'],
    ["delete from core.orders", "things.sql:3: a model is one select, not delete."],
    ["select order_id from core.orders; select 1", "things.sql:3: holds more than one statement"],
    ["select order_id\nfrom db.core.orders", 'things.sql:4: "db.core.orders" has three parts'],
    ["select core.orders.order_id from core.orders", '"core.orders.order_id" has three parts'],
    ["select order_id from orders", 'things.sql:3: "orders" has no schema'],
    ["select order_id from core.ordres", "there is no relation core.ordres; did you mean core.orders?"],
    [
      "select id as order_id from raw.shop__orders",
      "things.sql:3: a mart model reads core and mart only, not raw.shop__orders.",
    ],
    ["select token as order_id from vault.identifiers", "reads core and mart only, not vault.identifiers"],
    ["select oid as order_id from pg_catalog.pg_class", "reads core and mart only, not pg_catalog.pg_class"],
    ["select order_id, now() as at from core.orders", "things.sql:3: now() differs from run to run; use ops.as_of()"],
    ["select order_id, current_date as at from core.orders", "current_date differs from run to run; use ops.as_of()"],
    ["select order_id, 'today'::date as at from core.orders", "'today' differs from run to run"],
    ["select order_id, random() as r from core.orders", "random() gives no lasting result"],
    ["select order_id, pg_read_file('/etc/passwd') as f from core.orders", "pg_read_file()"],
    ["select order_id, age(t) as a from core.orders", "age() of one argument counts from today"],
    [
      "select order_id, public.dblink('x') as a from core.orders",
      "public.dblink() is not a function of Postgres itself",
    ],
    ["select order_id, ops.nextday() as a from core.orders", "ops.nextday() is not one of"],
    ["select order_id, $1 as a from core.orders", "$1 is a parameter"],
    ["select order_id from core.orders tablesample system (10)", "tablesample gives other rows"],
    ["select order_id, 1 + 1 from core.orders", "column 2 has no name"],
    ["select order_id, amount as order_id from core.orders", "two columns named order_id"],
    ["select 'é 日本' as order_id\nfromm core.orders", 'things.sql:4: syntax error at or near "fromm"'],
    ["\n-- nothing", "holds no statement"],
    ["-- nothing", '"nothing" follows "key:"; indent it'],
    [
      "select o.order_id from core.orders as o where o.amount > (select max(amount) from core.orders)",
      '"amount" is read beside',
    ],
  ])("%s -> %s", async (select, expected) => {
    expect(await refusal(select)).toContain(expected);
  });

  test("shows every mistake of every file at once", async () => {
    const other = sqlFile("models/mart/b.sql", "-- One row.\n-- key: x\nselect now() as x");
    const broken = sqlFile("models/mart/a.sql", "-- One row.\n-- key: x\nselect random() as x, $1 as y");
    const message = await graphOf([broken, other]).catch((error: Error) => error.message);
    expect(message).toMatch(/a\.sql:3: random[^]*a\.sql:3: \$1[^]*b\.sql:3: now/);
  });
});

describe("a model's header", () => {
  const select = "select order_id, amount from core.orders\n";
  test.each([
    ["-- One row per thing.\n-- key: order_id\n", "accepted"],
    [
      "-- One row per thing,\n-- told in two lines.\n-- key: order_id\n-- column amount: what is paid,\n--   note: taxes in\n",
      "accepted",
    ],
    ["", "things.sql:1: opens with a comment"],
    ["-- key: order_id\n", "things.sql:1: the first line says what a row is"],
    ["-- One row.\n", 'a table has a key: add "-- key: …"'],
    ["-- One row.\n-- kye: order_id\n", 'things.sql:2: "kye:" is not a word of this header'],
    ["-- One row.\n-- key: order_id\n-- key: amount\n", 'things.sql:3: "key:" is said twice'],
    ["-- One row.\n-- key: id\n", "things.sql:2: the select returns no column id; it returns order_id, amount."],
    ["-- One row.\n-- key: order_id\n-- column amuont: money\n", "things.sql:3: the select returns no column amuont"],
    [
      "-- One row.\n-- key: order_id\n-- materialize: tabel\n",
      'materialize is view, table or incremental, not "tabel"',
    ],
    ["-- One row.\n-- key: order_id\n-- materialize: view\n", "a view has no key"],
    ["-- One row.\n-- key: order_id\n-- contract: orders\n", "only a staging model has a contract"],
    [
      "-- One row.\n-- key: order_id\n-- foreign key: order_id core.orders\n",
      'a foreign key is written "customer_id -> core.people"',
    ],
    [
      "-- One row.\n-- key: order_id\n-- foreign key: order_id -> core.people\n",
      "there is no relation core.people for the foreign key",
    ],
    [
      "-- One row.\n-- key: order_id\n-- foreign key: order_id, amount -> core.orders\n",
      "the key of core.orders is (order_id)",
    ],
    ["-- One row.\n-- key: order_id\n-- follows: core.orders by order_id\n", "accepted"],
    [
      "-- One row.\n-- key: order_id\n-- follows: core.people by order_id\n",
      "follows core.people, which the select does not read",
    ],
  ])("%j -> %s", async (header, expected) => {
    expect(await refusal(select, header)).toContain(expected);
  });
});

describe("the graph", () => {
  test("names the path of a circle", async () => {
    const a = sqlFile("models/mart/a.sql", "-- One row.\n-- key: x\nselect x\nfrom mart.b");
    const b = sqlFile("models/mart/b.sql", "-- One row.\n-- key: x\nselect x from mart.a");
    await expect(graphOf([a, b])).rejects.toThrow(/b\.sql:3: reads itself in a circle: mart\.a -> mart\.b -> mart\.a/);
  });

  test("refuses a core model that reads staging beside core, since they are read at different moments", async () => {
    const mixed = sqlFile(
      "models/core/mixed.sql",
      "-- One row.\n-- key: id\nselect o.id from staging.shop__orders o join core.orders c on c.order_id = o.id",
    );
    await expect(graphOf([staging, orders, mixed])).rejects.toThrow(
      /mixed\.sql:3: reads staging\.shop__orders beside core/,
    );
  });

  test("refuses a staging model of a stream that the project does not declare", async () => {
    await expect(graphOf([staging], [])).rejects.toThrow("there is no relation raw.shop__orders; declare its stream.");
  });

  test("refuses a staging model that lacks a column of its contract, with the mend", async () => {
    const contract = sqlFile(
      "contracts/orders.yaml",
      "grain: One row per order.\ncolumns:\n  amount: { type: numeric, description: Money }\n",
    );
    const model = sqlFile(
      "models/staging/shop__orders.sql",
      "-- One row per order.\n-- contract: orders\nselect record_key, deleted_at from raw.shop__orders",
    );
    await expect(graphOf([contract, model])).rejects.toThrow(
      "sql/models/staging/shop__orders.sql:2: lacks column amount of contract orders; add amount, or null::numeric as amount.",
    );
  });

  test("refuses a contract that is not declared, and one whose declaration is wrong", async () => {
    const model = sqlFile(
      "models/staging/shop__orders.sql",
      "-- One row per order.\n-- contract: oders\nselect id from raw.shop__orders",
    );
    await expect(graphOf([model])).rejects.toThrow("there is no contract oders");
    const contract = sqlFile(
      "contracts/orders.yaml",
      "grain: One row per order.\ncolumns:\n  amount: { type: money, description: Money }\n",
    );
    await expect(graphOf([contract])).rejects.toThrow(/contracts\/orders\.yaml:3: columns\.amount\.type must be equal/);
  });

  test("refuses a mart that points from core at mart", async () => {
    const target = sqlFile("models/mart/t.sql", "-- One row.\n-- key: order_id\nselect order_id from core.orders");
    const model = sqlFile(
      "models/core/orders.sql",
      `${orders.text.replace("-- key", "-- foreign key: order_id -> mart.t\n-- key")}`,
    );
    await expect(graphOf([staging, model, target])).rejects.toThrow("core is built before mart");
  });

  test("selects a model with what it is built from and what is built from it", async () => {
    const graph = await packageGraph([], []);
    const names = (selector: string) => [...selectSteps(graph, [selector])].map((step) => step.name).sort();
    expect(names("fct_ad_spend")).toEqual(["mart.fct_ad_spend"]);
    expect(names("+core.daily_rates")).toEqual([
      "core.ad_spend",
      "core.daily_rates",
      "core.fx_rates",
      "core.order_lines",
      "core.orders",
    ]);
    expect(names("fct_ad_spend+")).toEqual(expect.arrayContaining(["mart.channel_performance", "mart.fct_ad_spend"]));
    expect(names("fct_ad_spend+")).not.toContain("mart.fct_orders");
    expect(names("core.people")).toEqual(["identity"]);
    expect(() => names("fct_orderz")).toThrow("there is no model fct_orderz; did you mean fct_orders?");
  });
});

describe("lineage", () => {
  test("follows a column through CTEs, joins and stars to where it comes from", async () => {
    const lines = sqlFile("models/core/b.sql", "-- One row.\n-- key: order_id\nselect * from core.orders");
    const model = sqlFile(
      "models/mart/things.sql",
      "-- One row.\n-- key: order_id\nwith x as (select b.*, b.amount * 2 as twice from core.b as b)\nselect x.order_id, x.twice + coalesce(o.amount, 0) as total, 1 as one from x left join core.orders as o using (order_id)",
    );
    const graph = await graphOf([staging, orders, lines, model]);
    expect(lineage(graph, "mart.things.total")).toEqual({
      relation: "mart.things",
      file: "sql/models/mart/things.sql",
      upstream: ["raw.shop__orders", "staging.shop__orders", "core.orders", "core.b"],
      downstream: [],
      column: {
        name: "total",
        sources: [
          { relation: "core.b", column: "amount" },
          { relation: "core.orders", column: "amount" },
          { relation: "staging.shop__orders", column: "amount" },
          { relation: "raw.shop__orders", column: "amount" },
        ],
        dependents: [],
        unresolved: [],
      },
    });
    expect(lineage(graph, "raw.shop__orders.amount").column!.dependents).toContainEqual({
      relation: "mart.things",
      column: "total",
    });
    expect(lineage(graph, "raw.shop__orders").downstream).toEqual([
      "staging.shop__orders",
      "core.orders",
      "core.b",
      "mart.things",
    ]);
    expect(() => lineage(graph, "mart.things.totl")).toThrow(
      "mart.things has no column totl; it has order_id, total, one.",
    );
    expect(() => lineage(graph, "mart.thing")).toThrow("did you mean mart.things?");
  });

  test("says where it does not know", async () => {
    const star = sqlFile("models/staging/shop__orders.sql", "-- One row per order.\nselect * from raw.shop__orders");
    const graph = await graphOf([star, orders]);
    expect(lineage(graph, "core.orders.amount").column).toMatchObject({
      sources: [{ relation: "staging.shop__orders", column: "amount" }],
      unresolved: [{ relation: "staging.shop__orders", column: "amount" }],
    });
  });
});
