import { inject, expect, test } from "vitest";
import pg from "pg";
import { refuseFunction } from "./functions.ts";

test("every volatile function of Postgres is refused, and every immutable one of a name without pg_ is allowed", async () => {
  const client = new pg.Client({ connectionString: `${inject("postgresUrl")}/postgres` });
  await client.connect();
  const { rows } = await client.query<{ name: string; volatile: boolean; lasting: boolean }>(
    `select proname as name, bool_or(provolatile = 'v') as volatile, bool_and(provolatile = 'i') as lasting
     from pg_proc where pronamespace = 'pg_catalog'::regnamespace and prokind = 'f'
       and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
       and 'internal'::regtype <> all (proargtypes::oid[])
     group by proname`,
  );
  await client.end();
  expect(rows.length).toBeGreaterThan(2000);
  const refused = (name: string) => refuseFunction(null, name, 2) !== null;
  expect(rows.filter((row) => row.volatile && !refused(row.name)).map((row) => row.name)).toEqual([]);
  const wronged = rows.filter((row) => row.lasting && refused(row.name) && !/^(pg|brin|gin|txid)_/.test(row.name));
  expect(wronged.map((row) => row.name)).toEqual([]);
});
