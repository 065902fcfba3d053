import pg from "pg";
import type { ReadStream, Source } from "../connector.ts";
import { Rejected, Unauthorized } from "../errors.ts";
import { discover } from "./discover.ts";
import { readPages, type Table } from "./pages.ts";
import { readSnapshot, readStart } from "./position.ts";
import { explain, openSession, type Session } from "./session.ts";
import { readColumns, type Column } from "./types.ts";

export interface PostgresConfig {
  url: string;
  schema?: string;
  table?: string;
  timeout_seconds?: number;
}

const DEFAULT_SCHEMA = "public";
const DEFAULT_TIMEOUT_SECONDS = 300;

/**
 * Tables, views, partitioned and foreign tables of a Postgres database, read in one read-only transaction per sync.
 *
 * With a key, pages follow it (after the cursor column, where there is one), and every page's cursor resumes right after
 * it. Without a key the table is one part that is always read from its start. Rows whose cursor column is NULL are read
 * by every sync. A parent table holds its children's rows, as in a select; its key may repeat among them, and then each of
 * the rows is read.
 */
export const postgres: Source<PostgresConfig> = {
  spec: {
    type: "object",
    required: ["url"],
    additionalProperties: false,
    properties: {
      url: {
        description:
          "Where the database is: postgres://user:password@host:5432/database. Add ?sslmode=require to encrypt, verify-full to check the server's certificate as well.",
        type: "string",
        pattern: "^postgres(ql)?://",
        examples: ["${SHOP_DATABASE_URL}"],
      },
      schema: {
        description: "The schema that the tables are in.",
        type: "string",
        minLength: 1,
        default: DEFAULT_SCHEMA,
      },
      table: {
        description:
          "The table or view of a stream, where it is not named as the stream is; schema.table reaches other schemas.",
        type: "string",
        minLength: 1,
        examples: ["sales.Orders"],
      },
      timeout_seconds: {
        description: "How long one statement may take before the source counts as hanging.",
        type: "integer",
        minimum: 1,
        maximum: 86400,
        default: DEFAULT_TIMEOUT_SECONDS,
      },
    },
  },
  values: "text",
  cursorScope: "stream",
  cutsWindows: true,
  discover: async (config, options) => {
    const session = await open(config, options.signal);
    try {
      return await discover(session, config.schema ?? DEFAULT_SCHEMA);
    } catch (error) {
      throw options.signal.aborted ? options.signal.reason : explain(error, session.place);
    } finally {
      await session.close();
    }
  },
  read: async function* (config, streams, cursor, options) {
    const stream = streams[0] as ReadStream;
    const session = await open(config, options.signal);
    let place = session.place;
    try {
      await session.begin();
      const { oid, ...named } = await findTable(session, config, stream.name);
      place = `table ${named.label} of ${session.place}`;
      const columns = (await readColumns(session, [oid])).get(oid) ?? [];
      const table: Table = { ...named, columns: chooseColumns(columns, stream, options.window?.field, place) };
      const start = await readStart(session);
      await session.query("commit");
      await session.begin();
      const horizon = { ...start, ...(await readSnapshot(session)) };
      yield* readPages(session, { stream, table, horizon, options }, cursor);
    } catch (error) {
      throw options.signal.aborted ? options.signal.reason : explain(error, place);
    } finally {
      await session.close();
    }
  },
};

function open(config: PostgresConfig, signal: AbortSignal): Promise<Session> {
  return openSession(config.url, { signal, timeoutSeconds: config.timeout_seconds ?? DEFAULT_TIMEOUT_SECONDS });
}

async function findTable(session: Session, config: PostgresConfig, streamName: string) {
  const schema = config.schema ?? DEFAULT_SCHEMA;
  const name = config.table ?? streamName;
  const [row] = await session.query(
    `select c.oid, n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f')
       and ((n.nspname = $1 and c.relname = $2) or n.nspname || '.' || c.relname = $2)
     order by n.nspname = $1 and c.relname = $2 desc limit 1`,
    [schema, name],
  );
  if (!row) {
    const label = config.table?.includes(".") ? name : `${schema}.${name}`;
    throw new Rejected(
      `table ${label} is not in ${session.place}: correct "table" or "schema" in the stream's config, or run miette discover`,
    );
  }
  const [oid, owner, table] = row as [string, string, string];
  const quoted = `${pg.escapeIdentifier(owner)}.${pg.escapeIdentifier(table)}`;
  return { oid, name: table, label: `${owner}.${table}`, quoted };
}

/** All columns that may be read, those that the schema does not know included. */
function chooseColumns(columns: Column[], stream: ReadStream, window: string | undefined, place: string): Column[] {
  const byName = new Map(columns.map((column) => [column.name, column]));
  const asked = [...Object.keys(stream.schema.properties), ...(stream.key ?? []), stream.cursor, window];
  for (const name of asked) {
    if (name === null || name === undefined) continue;
    const column = byName.get(name);
    if (!column) {
      throw new Rejected(
        `${place} has no column "${name}" (any more): take it out of the stream's schema, or run miette discover`,
      );
    }
    if (!column.isSelectable) throw new Unauthorized(`${place}: column "${name}" may not be read; grant select on it`);
  }
  return columns.filter((column) => column.isSelectable);
}
