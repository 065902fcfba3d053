import { it } from "vitest";
import { createTestDatabase } from "../test/database.ts";
import { openPool } from "../warehouse/database.ts";
import { buildReport } from "./build-report.ts";
import { buildShop } from "./test-shop.ts";
import { SECTIONS } from "./sections.ts";
it("scale", async () => {
  const d = await createTestDatabase();
  let t = performance.now(); await buildShop(d.pool, { orders: 100000 }); console.log("build", performance.now() - t);
  const a = openPool(`${d.url}?options=${encodeURIComponent("-c role=analyst -c timezone=UTC -c datestyle=ISO")}`, { max: 2, name: "t" });
  for (const s of SECTIONS) for (const f of s.figures) { const t = performance.now(); if (!(f as any).reader) { const r = await a.query((f as any).sql); console.log(s.id, (f as any).id, r.rowCount, Math.round(performance.now() - t)); } }
  for (let i = 0; i < 3; i++) { t = performance.now(); const r = await buildReport({ name: "x", currency: "EUR", timeZone: "Europe/Paris" }, { analystPool: a, ownerPool: d.pool, language: "en" }); console.log("report", Math.round(performance.now() - t), r.length); }
  await a.end(); await d.drop();
}, 600000);
