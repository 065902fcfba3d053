/** How names of a source become names of columns: one place, so that schema, landing and staging drafts agree. */

/** Columns that landing adds to every raw table. */
export const LANDING_COLUMNS = [
  "record_key",
  "version",
  "content_hash",
  "sealed",
  "owner_token",
  "reload",
  "record_seq",
  "landed_at",
  "deleted_at",
  "landed_xid",
] as const;

/** `"Order ID"` → `order_id`, `InvoiceId` → `invoice_id`; a landing column's name gets `source_` before it. */
export function columnName(field: string): string {
  const snake = field
    .normalize("NFKC")
    .replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, "$1_$2")
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, "$1_$2")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "_")
    .replace(/^_+|_+$/g, "");
  const name = snake === "" ? "field" : /^\d/.test(snake) ? `_${snake}` : snake;
  return cutToBytes((LANDING_COLUMNS as readonly string[]).includes(name) ? `source_${name}` : name, 59);
}

/** The column that holds the parent's key: `order_id` → `order_record_key`; of a composite key the last field names it. */
export function referenceColumn(field: string | string[]): string {
  const last = typeof field === "string" ? field : (field.at(-1) ?? "parent");
  return `${cutToBytes(columnName(last).replace(/_id$/, ""), 48)}_record_key`;
}

/** Longest name of an identifier kind, in characters. */
const MOST_KIND = 30;

/** The kind of a source's own ids: `shop_customer_id`. */
export function identifierKind(source: string, kind: string): string {
  return `${source.slice(0, MOST_KIND - kind.length - 1).replace(/_$/, "")}_${kind}`;
}

/** Postgres cuts names at 63 bytes without a word; 59 leaves room for a suffix. */
function cutToBytes(name: string, bytes: number): string {
  let cut = name;
  while (new TextEncoder().encode(cut).length > bytes) cut = cut.slice(0, -1);
  return cut;
}
