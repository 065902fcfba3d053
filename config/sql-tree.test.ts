import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadSqlTree } from "./sql-tree.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "miette-sql-"));
});
afterEach(async () => await rm(root, { recursive: true, force: true }));

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
}

const load = async () => await loadSqlTree(join(root, "package"), join(root, "project"));

describe("the SQL tree", () => {
  it("lays the project's files over the package's: the same path replaces, a new path adds", async () => {
    await put("package/models/mart/fct_orders.sql", "select 1");
    await put("package/checks/money.sql", "select 2");
    await put("package/contracts/orders.yaml", "columns: {}");
    await put("project/sql/models/mart/fct_orders.sql", "select 3");
    await put("project/sql/segments/lapsed.sql", "select 4");
    const tree = await load();
    expect(tree.map(({ path, text }) => [path, text])).toEqual([
      ["checks/money.sql", "select 2"],
      ["contracts/orders.yaml", "columns: {}"],
      ["models/mart/fct_orders.sql", "select 3"],
      ["segments/lapsed.sql", "select 4"],
    ]);
    expect(tree[2]?.file).toBe(join(root, "project/sql/models/mart/fct_orders.sql"));
  });

  it("ignores what is no model, check, segment or contract, and a project without sql/", async () => {
    await put("package/migrations/001.sql", "create table t ()");
    await put("package/models/README.md", "words");
    await put("package/models/.fct.sql", "half written");
    await put("package/models/core/a.sql", "select 1");
    expect((await load()).map((file) => file.path)).toEqual(["models/core/a.sql"]);
  });

  it("drops a byte order mark and names every file that is not UTF-8", async () => {
    await put("package/models/core/a.sql", "\uFEFFselect 'é'");
    expect((await load())[0]?.text).toBe("select 'é'");
    await put("package/checks/b.sql", Uint8Array.of(0x73, 0xe9, 0x20));
    await put("project/sql/checks/c.sql", Uint8Array.of(0xff));
    await expect(load()).rejects.toThrow(
      `${root}/package/checks/b.sql: the file is not UTF-8; save it as UTF-8.\n` +
        `${root}/project/sql/checks/c.sql: the file is not UTF-8; save it as UTF-8.`,
    );
  });
});
