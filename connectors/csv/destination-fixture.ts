import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "csv-parse/sync";

/** Reads the directory as whoever gets the files: in the order of their names. */
export async function prepare(directory: string) {
  const folder = join(directory, "outbox");
  const files = async () => (await readdir(folder)).toSorted();
  const read = async (name: string) => await readFile(join(folder, name), "utf8");
  await writeFile(join(directory, "taken"), "");
  return {
    config: { directory: "outbox" },
    failures: [
      {
        title: "a folder that is a file",
        config: { directory: "taken" },
        message: /^taken can't be written/,
        secrets: [],
      },
    ],
    async audience(name: string): Promise<string[]> {
      const members = new Set<string>();
      for (const file of await files()) {
        const rows = parse(await read(file), { columns: true }) as { id: string }[];
        if (file.includes(`-deliver-${name}-`)) for (const { id } of rows) members.add(id);
        if (/-(?:remove|erase)-/.test(file)) for (const { id } of rows) members.delete(id);
      }
      return [...members].toSorted();
    },
    async keeps(id: string): Promise<string> {
      const texts = await Promise.all((await files()).map(read));
      return texts
        .join("")
        .split("\r\n")
        .filter((line) => line.startsWith(id))
        .join("\n");
    },
    close: () => Promise.resolve(),
  };
}
