import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { writeRecords } from "../../cli/generate/files.ts";
import { shopStreams, type ShopRecord } from "../../cli/generate/shop.ts";
import type { StreamSchema } from "../../domain/streams.ts";
import type { Bench } from "../bench.ts";
import { type Figure, median, requireEqual, type Row } from "../row.ts";

const EVENTS_SCHEMA = new URL("../../cli/generate/project/schemas/web/events.yaml", import.meta.url);

/** A parcel: every row seals a name and an address under the key of an e-mail address that comes again and again. */
const PARCELS: StreamSchema = {
  type: "object",
  required: ["parcel_id", "delivered_at"],
  properties: {
    parcel_id: { type: "string" },
    email: { type: ["string", "null"], personal: "email", identifier: "email", keep: ["domain"] },
    full_name: { type: ["string", "null"], personal: "name" },
    street: { type: ["string", "null"], personal: "address" },
    postal_code: { type: ["string", "null"], personal: "postal_code", keep: ["area"] },
    city: { type: ["string", "null"], personal: "address" },
    country: { type: ["string", "null"] },
    delivered_at: { type: "string", format: "date-time" },
  },
};

/** Of the bench's rows; each is loaded twice per run, of two shapes. */
const SHARE = 0.3;

export const row: Row = {
  title: "sealing",
  goals: { first: "35% of a load's throughput; 65% with name and address", summit: "" },
  async measure(bench): Promise<Figure[]> {
    const count = Math.ceil(bench.options.rows * SHARE);
    const sizes = { events: count, orders: Math.ceil(count / 10), customers: Math.ceil(count / 20) };
    const streams = new Map(shopStreams(1, sizes).map((stream) => [stream.name, stream]));
    function* events(): Generator<ShopRecord> {
      for (let item = 0; item < count; item += 1) yield* streams.get("events")!.records(item, 0);
    }
    function* parcels(): Generator<ShopRecord> {
      for (let item = 0; item < count; item += 1) {
        const [customer] = streams.get("customers")!.records((item * 7919) % sizes.customers, 0);
        const { email, full_name, street, postal_code, city, country, updated_at } = customer!;
        yield {
          parcel_id: `P-${item}`,
          email,
          full_name,
          street,
          postal_code,
          city,
          country,
          delivered_at: updated_at,
        };
      }
    }
    const schema = parse(await readFile(EVENTS_SCHEMA, "utf8")) as StreamSchema;
    const shape = { name: "events", key: "event_id", schema, records: events, count };
    // The first load of a server makes its log's files: 10 s more for 300,000 rows.
    await load(bench, await writeProject(bench, "warm-up", shape, withoutLabels(schema)), shape, "warm-up");
    return [
      await compare(bench, shape),
      await compare(bench, { name: "parcels", key: "parcel_id", schema: PARCELS, records: parcels, count }),
    ];
  },
};

interface Shape {
  name: string;
  key: string;
  schema: StreamSchema;
  records(): Iterable<ShopRecord>;
  count: number;
}

/** Loads the same file with its labels and without, in turn. */
async function compare(bench: Bench, shape: Shape): Promise<Figure> {
  const sealed = await writeProject(bench, `sealed-${shape.name}`, shape, shape.schema);
  const open = await writeProject(bench, `open-${shape.name}`, shape, withoutLabels(shape.schema));
  const times: Record<"sealed" | "open", number[]> = { sealed: [], open: [] };
  for (let run = 1; run <= bench.options.runs; run += 1) {
    times.open.push(await load(bench, open, shape, `open-${run}`));
    times.sealed.push(await load(bench, sealed, shape, `sealed-${run}`));
  }
  const cost = 1 - median(times.open) / median(times.sealed);
  return {
    what: `${shape.count.toLocaleString("en-US")} ${shape.name}, sealed`,
    seconds: times.sealed,
    records: shape.count,
    reference: { what: "the same without any label", seconds: times.open },
    peakMemory: null,
    note: `sealing costs ${Math.round(cost * 100)}% of the throughput`,
  };
}

/** @returns seconds of one load into an empty warehouse */
async function load(bench: Bench, project: string, shape: Shape, label: string): Promise<number> {
  const warehouse = await bench.openWarehouse(project);
  const { seconds, report } = await warehouse.sync("files", `sealing-${shape.name}-${label}`);
  requireEqual("records landed", report.streams[0]?.inserted, shape.count);
  await warehouse.close();
  return seconds;
}

async function writeProject(bench: Bench, name: string, shape: Shape, schema: StreamSchema): Promise<string> {
  const directory = await bench.emptyFolder(name);
  const project = {
    name,
    currency: "EUR",
    time_zone: "UTC",
    default_country: "FR",
    sources: {
      files: {
        connector: "csv",
        config: { path: "data/*.csv" },
        streams: { [shape.name]: { mode: "upsert", key: [shape.key], schema: "schemas/stream.yaml" } },
      },
    },
  };
  await mkdir(join(directory, "schemas"));
  await writeFile(join(directory, "miette.yaml"), stringify(project));
  await writeFile(join(directory, "schemas/stream.yaml"), stringify(schema));
  await writeRecords(join(directory, "data/0001.csv"), "csv", shape.records());
  return directory;
}

function withoutLabels(schema: StreamSchema): StreamSchema {
  const properties = Object.entries(schema.properties).map(([name, field]) => {
    const { personal: _personal, identifier: _identifier, keep: _keep, ...open } = field;
    return [name, open];
  });
  return { ...schema, properties: Object.fromEntries(properties) as StreamSchema["properties"] };
}
