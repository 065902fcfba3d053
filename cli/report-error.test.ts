import pg from "pg";
import { expect, inject, test, vi } from "vitest";
import { reportError } from "./report-error.ts";

test("a warehouse that ends the connection in the middle of a command is told as away, with what to do", async () => {
  const client = new pg.Client({ connectionString: inject("postgresUrl") });
  client.on("error", () => undefined);
  await client.connect();
  const error: unknown = await client.query("select pg_terminate_backend(pg_backend_pid())").catch((e: unknown) => e);
  const said = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const sentence =
    "the warehouse can't be reached or ended the connection, as when it restarts; miette status tells whether it is back, then try again";
  try {
    expect(reportError(error, false)).toBe(1);
    expect(reportError(error, true)).toBe(1);
    expect(said.mock.calls).toEqual([
      [sentence],
      [JSON.stringify({ error: { code: "warehouse_unavailable", message: sentence } })],
    ]);
  } finally {
    said.mockRestore();
  }
});
