import type { SurvivorshipRule } from "../domain/survivorship.ts";
import type { ModelNode, RelationSpec } from "./models/relation.ts";

const RULES: RelationSpec = {
  name: "core.survivorship_rules",
  grain: "One row per attribute of a customer that several records may give: which of their values survives.",
  materialize: "table",
  key: ["attribute"],
  follows: [],
  notNull: ["rule", "sources"],
  foreignKeys: [],
  columns: {
    attribute: "The column of mart.dim_customers",
    rule: "priority: of the source listed first; most_recent: of the latest registration; most_frequent: that most records hold",
    sources: "With priority, the sources from the most trusted on; others come after them",
  },
};

/** The project's rules as a table, so that `dim_customers` reads them as it reads any input. */
export function survivorshipNode(rules: readonly SurvivorshipRule[]): ModelNode {
  const declared = JSON.stringify(rules.map(({ attribute, by, sources }) => ({ attribute, rule: by, sources })));
  return {
    name: "survivorship",
    inputs: [],
    outputs: [RULES],
    version: JSON.stringify(["1", declared]),
    async compute({ client, output }) {
      const target = output(RULES.name);
      await client.query(`create table ${target} (attribute text, rule text, sources text[])`);
      const { rowCount } = await client.query(
        `insert into ${target}
         select attribute, rule, sources
         from jsonb_to_recordset($1::jsonb) as declared (attribute text, rule text, sources text[])`,
        [declared],
      );
      return { [RULES.name]: rowCount ?? 0 };
    },
  };
}
