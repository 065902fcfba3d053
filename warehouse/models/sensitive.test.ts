import { describe, expect, test } from "vitest";
import { loadGoal } from "../goals-node.ts";
import { loadSegment } from "../segments.ts";
import type { MartSelect } from "./mart-select.ts";
import type { ModelNode } from "./relation.ts";
import { loadParser } from "./syntax.ts";
import { graphOf, sqlFile } from "./test-warehouse.ts";
import type { Stream } from "../../domain/streams.ts";

const patients: Stream = {
  source: "shop",
  name: "patients",
  mode: "upsert",
  key: ["id"],
  cursor: null,
  version: null,
  window: null,
  schema: {
    type: "object",
    properties: {
      id: { type: "integer" },
      diagnosis: { type: "string", sensitive: "health" },
      note: { type: "string", personal: "free_text", sensitive: "health", keep: ["sentiment"] },
      city: { type: "string" },
    },
  },
  schemaFile: "schemas/shop/patients.yaml",
  rejectLimit: 0.01,
  config: {},
};

const HEADER = "-- One row per patient.\n";
const staging = (select: string, header = HEADER) =>
  sqlFile("models/staging/shop__patients.sql", `${header}${select}\n`);
const core = (select: string, header = "") =>
  sqlFile("models/core/patients.sql", `-- One row per patient.\n-- key: id\n${header}${select}\n`);
const mart = (select: string, header = "") =>
  sqlFile("models/mart/patients.sql", `-- One row per patient.\n-- key: id\n${header}${select}\n`);
const PURPOSE = "-- purpose: allergy_warnings\n";

async function verdict(...files: ReturnType<typeof sqlFile>[]): Promise<string> {
  return await graphOf(files, [], { settings: { sources: [{ name: "shop", streams: [patients] }] as never } }).then(
    () => "accepted",
    (error: Error) => error.message,
  );
}

describe("a model that reads a column of a special category", () => {
  test.each([
    ["by name", "select id,\n  diagnosis from raw.shop__patients", ":3 "],
    ["by its alias", "select p.id, p.diagnosis as d from raw.shop__patients as p", ":2 "],
    ["in a condition", "select id\nfrom raw.shop__patients\nwhere diagnosis is not null", ":4 "],
    ["in an order", "select id from raw.shop__patients order by diagnosis", ":2 "],
    ["by a star", "select * from raw.shop__patients", ":2 "],
    ["by a star of its alias", "select p.* from raw.shop__patients as p", ":2 "],
    ["as a whole row", "select to_jsonb(p) as row from raw.shop__patients as p", ":2 "],
    [
      "within a subselect",
      "select id, (select max(x.diagnosis) from raw.shop__patients as x) as d from raw.shop__patients",
      ":2 ",
    ],
    ["in a common table", "with c as (select diagnosis as d from raw.shop__patients) select d from c", ":2 "],
    ["by using", "select p.id from raw.shop__patients as p join raw.shop__patients as q using (diagnosis)", ":2 "],
    ["by its place", "select p.b as x from raw.shop__patients as p (a, b, c, d)", ":2 "],
    ["in its history", "select diagnosis from raw.shop__patients__history", ":2 "],
    ["by what is kept of it", "select note_sentiment from raw.shop__patients", ":2 "],
  ])("%s is refused with file and line, unless it says what for", async (_, select, line) => {
    const refused = await verdict(staging(select));
    expect(refused).toContain(`models/staging/shop__patients.sql${line}`.trim());
    expect(refused).toMatch(/which tells of health; say what for in the header/);
    expect(await verdict(staging(select, HEADER + PURPOSE))).not.toContain("tells of health");
  });

  test("what it makes of the column is of that category too, all the way up", async () => {
    const open = staging("select id, upper(diagnosis) as reason, city from raw.shop__patients", HEADER + PURPOSE);
    const kept = core("select id, coalesce(reason, 'none') as why, city from staging.shop__patients", PURPOSE);
    expect(await verdict(open, kept, mart("select id, city from core.patients"))).toBe("accepted");
    const refused = await verdict(open, kept, mart("select id, why from core.patients"));
    expect(refused).toMatch(/^sql\/models\/mart\/patients\.sql:3.*reads core\.patients\.why, which tells of health/);
    expect(await verdict(open, kept, mart("select id, why from core.patients", PURPOSE))).toBe("accepted");
    expect(await verdict(open, core("select id, reason from staging.shop__patients"))).toContain(
      "models/core/patients.sql:3",
    );
  });

  test("a check is held to it too, and a purpose is one word", async () => {
    const open = staging("select id, diagnosis from raw.shop__patients", HEADER + PURPOSE);
    const kept = core("select id, diagnosis from staging.shop__patients", PURPOSE);
    const check = (header: string) =>
      sqlFile(
        "checks/none.sql",
        `-- No patient is without a diagnosis.\n${header}select id from core.patients where diagnosis is null\n`,
      );
    expect(await verdict(open, kept, check(""))).toMatch(/checks\/none\.sql:2.*health/);
    expect(await verdict(open, kept, check(PURPOSE))).toBe("accepted");
    expect(await verdict(staging("select id from raw.shop__patients", `${HEADER}-- purpose: all sorts\n`))).toContain(
      'purpose names one purpose, as in "-- purpose: marketing"',
    );
  });
});

test("a segment and a goal that read such a column say what for", async () => {
  await loadParser();
  const files = [
    staging("select id, diagnosis from raw.shop__patients", HEADER + PURPOSE),
    core("select id, diagnosis from staging.shop__patients", PURPOSE),
    mart("select id as customer_id, id, diagnosis from core.patients", PURPOSE),
  ];
  const graph = async (select: MartSelect): Promise<string> => {
    const node: ModelNode = {
      name: "node",
      inputs: ["mart.patients"],
      outputs: [],
      selects: [select],
      version: "1",
      compute: () => Promise.resolve({}),
    };
    const settings = { sources: [{ name: "shop", streams: [patients] }] as never };
    return await graphOf(files, [], { nodes: [node], settings }).then(
      () => "accepted",
      (error: Error) => error.message,
    );
  };
  const segment = (header: string): MartSelect =>
    loadSegment(
      sqlFile(
        "segments/allergic.sql",
        `-- Patients to warn.\n${header}select customer_id\nfrom mart.patients\nwhere diagnosis = 'allergy'\n`,
      ),
    ).select;
  expect(await graph(segment("-- consent: marketing\n"))).toMatch(/^sql\/segments\/allergic\.sql:5.*tells of health/);
  expect(await graph(segment(`-- consent: health_offers\n${PURPOSE}`))).toBe("accepted");
  const goal = { name: "sick", target: 1, direction: "at_most" as const, by: "2027-01-01", start: null };
  const measure = "select count(diagnosis) from mart.patients";
  const place = { file: "miette.yaml", line: 9 };
  expect(await graph(loadGoal({ ...goal, measure, place }).select)).toMatch(/^miette\.yaml:9.*tells of health/);
  expect(await graph(loadGoal({ ...goal, measure, place, purpose: "care" }).select)).toBe("accepted");
});

test("columns of the same name elsewhere, and other columns of the table, need no purpose", async () => {
  expect(await verdict(staging("select p.id, p.city as diagnosis from raw.shop__patients as p"))).toBe("accepted");
});
