import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createEmptyDatabase } from "./empty-database.ts";
import { restoreSqlFile } from "./restore.ts";

it("a dump with meta commands, COPY data and another database's name is restored into the URL's database", async () => {
  const directory = await mkdtemp(join(tmpdir(), "miette-restore-"));
  const path = join(directory, "dump.sql");
  const lines = [
    "\\restrict abc",
    "CREATE DATABASE elsewhere;",
    "\\connect elsewhere",
    "CREATE TABLE public.notes (id int, note text);",
    "COPY public.notes (id, note) FROM stdin;",
    "1\ttab\\tand ; and \\N is",
    "2\t\\N",
    "\\.",
    "INSERT INTO public.notes VALUES (3, 'after; the copy');",
    "\\unrestrict abc",
  ];
  await writeFile(path, `${lines.join("\n")}\n`);
  const database = await createEmptyDatabase();
  try {
    await restoreSqlFile(database.url, path);
    const { rows } = await database.client.query("select * from notes order by id");
    expect(rows).toEqual([
      { id: 1, note: "tab\tand ; and N is" },
      { id: 2, note: null },
      { id: 3, note: "after; the copy" },
    ]);
  } finally {
    await database.drop();
    await rm(directory, { recursive: true });
  }
});
