/**
 * Functions that a model may not call: their result depends on the moment, the session or chance, they have effects, or
 * they read what the graph can't see. Everything named `pg_…` is refused unless it stands in PURE.
 */
const REFUSED = new Set(
  `array_sample array_shuffle clock_timestamp current_database current_query current_schema current_schemas
  current_setting current_user currtid2 currval cursor_to_xml cursor_to_xmlschema database_to_xml
  database_to_xml_and_xmlschema database_to_xmlschema gen_random_uuid getpgusername inet_client_addr inet_client_port
  inet_server_addr inet_server_port lastval loread lowrite mxid_age nextval query_to_xml query_to_xml_and_xmlschema
  query_to_xmlschema random random_normal schema_to_xml schema_to_xml_and_xmlschema schema_to_xmlschema session_user
  set_config setseed setval system_user table_to_xml table_to_xml_and_xmlschema table_to_xmlschema timeofday
  ts_rewrite ts_stat uuidv4 uuidv7 version`.split(/\s+/),
);
const REFUSED_PREFIXES = [
  "pg_",
  "lo_",
  "binary_upgrade_",
  "brin_",
  "gin_",
  "dblink",
  "txid_",
  "amvalidate",
  "plpgsql_",
  "has_",
];
const PURE = new Set(["pg_column_size", "pg_input_is_valid", "pg_size_bytes", "pg_size_pretty", "pg_typeof"]);

const CLOCKS = new Set(["now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday"]);

/** The functions of schema `ops` that a model may call, with the setting that each one reads. */
export const OPS_FUNCTIONS: Record<string, SettingName | null> = {
  nobody: null,
  as_of: "as_of",
  currency: "currency",
  time_zone: "time_zone",
};

/** What of the project's settings a relation's rows can depend on. */
export type SettingName = "as_of" | "currency" | "time_zone" | "identity";

/** Why a function may not be called and what to write instead; null where it may. */
export function refuseFunction(schema: string | null, name: string, argumentCount: number): string | null {
  if (schema === "ops") {
    if (Object.hasOwn(OPS_FUNCTIONS, name)) return null;
    return `ops.${name}() is not one of ${Object.keys(OPS_FUNCTIONS)
      .map((known) => `ops.${known}()`)
      .join(", ")}.`;
  }
  if (schema !== null && schema !== "pg_catalog") {
    return `${schema}.${name}() is not a function of Postgres itself; write what it does in the select.`;
  }
  if (CLOCKS.has(name)) return `${name}() differs from run to run; use ops.as_of(), one value per day.`;
  if (name === "age" && argumentCount === 1)
    return "age() of one argument counts from today; write age(ops.as_of(), …).";
  if (PURE.has(name)) return null;
  if (REFUSED.has(name) || REFUSED_PREFIXES.some((prefix) => name.startsWith(prefix))) {
    return `${name}() gives no lasting result or reads outside the model graph; a model may call only functions of its rows.`;
  }
  return null;
}

/** Why a keyword function (`current_date`, `session_user`) may not be used; null where it may. */
export function refuseKeyword(operation: string): string | null {
  const keyword = operation
    .replace(/^SVFOP_/, "")
    .replace(/_N$/, "")
    .toLowerCase();
  return /date|time/.test(keyword)
    ? `${keyword} differs from run to run; use ops.as_of(), one value per day.`
    : `${keyword} depends on the session; a model may not use it.`;
}
