import { createHash } from "node:crypto";
import type { ClientBase } from "pg";
import { UserError, UserErrors } from "../../domain/errors.ts";
import type { SettingValues } from "./build.ts";
import { readShapes } from "./catalog.ts";
import type { Graph } from "./graph.ts";
import type { Step } from "./steps.ts";

/** The values of the settings that rows can depend on, at a moment. */
export async function readSettings(client: ClientBase, graph: Graph, now: Date): Promise<SettingValues> {
  const { currency, timeZone, identity } = graph.settings;
  const { rows } = await client.query<{ as_of: string }>(
    "select date_trunc('day', $1::timestamptz, $2)::text as as_of",
    [now, timeZone],
  );
  const rules = createHash("sha256").update(JSON.stringify(identity)).digest("hex").slice(0, 32);
  return { as_of: rows[0]!.as_of, currency, time_zone: timeZone, identity: rules };
}

/** The hash of each step, joined with the columns of the raw tables it reads, which `select *` depends on. */
export async function readDefinitions(
  client: ClientBase,
  graph: Graph,
  selected: ReadonlySet<Step>,
): Promise<Map<Step, string>> {
  const shapes = await readShapes(client, ["raw"]);
  const missing = new Map<string, UserError>();
  const definitions = new Map<Step, string>();
  for (const step of graph.steps) {
    const columns: string[] = [];
    for (const input of step.inputs) {
      const stream = graph.raw.get(input);
      if (!stream) continue;
      const shape = shapes.get(input);
      if (shape) columns.push(JSON.stringify(shape.columns.map(({ name, type }) => [name, type])));
      else if (selected.has(step)) {
        const mend = `reads ${input}, which has not landed yet; run "miette sync ${stream.source}.${stream.stream}" first.`;
        missing.set(input, new UserError(mend, { file: step.file }));
      }
    }
    const suffix = columns.length ? `:${createHash("sha256").update(columns.join()).digest("hex").slice(0, 16)}` : "";
    definitions.set(step, step.hash + suffix);
  }
  if (missing.size) throw new UserErrors([...missing.values()]);
  return definitions;
}

/** The cluster that the warehouse is in: transaction ids mean nothing in another. */
export async function readCluster(client: ClientBase): Promise<string> {
  const { rows } = await client.query<{ id: string }>("select system_identifier::text as id from pg_control_system()");
  return rows[0]!.id;
}
