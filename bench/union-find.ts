import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type pg from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";

/**
 * The bare algorithm, from Postgres and back: COPY of pairs of tokens out, union-find over them, COPY of each token with
 * the number of its component in. No kinds, limits, islands, stable ids, merge log or keys.
 * @param pairs a select of two columns of tokens
 * @returns how many components there are
 */
export async function bareUnionFind(client: pg.PoolClient, pairs: string): Promise<number> {
  const numbers = new Map<string, number>();
  const parents: number[] = [];
  const numberOf = (token: string): number => {
    const known = numbers.get(token);
    if (known !== undefined) return known;
    parents.push(parents.length);
    numbers.set(token, parents.length - 1);
    return parents.length - 1;
  };
  const rootOf = (member: number): number => {
    let root = member;
    while (parents[root] !== root) {
      parents[root] = parents[parents[root]!]!;
      root = parents[root]!;
    }
    return root;
  };
  let rest = "";
  for await (const chunk of client.query(copyTo(`copy (${pairs}) to stdout`)) as AsyncIterable<Buffer>) {
    const lines = (rest + chunk.toString("latin1")).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const tab = line.indexOf("\t");
      parents[rootOf(numberOf(line.slice(0, tab)))] = rootOf(numberOf(line.slice(tab + 1)));
    }
  }
  await client.query("create temporary table components (token text, component integer)");
  const components = new Set<number>();
  function* lines(): Generator<string> {
    let piece = "";
    for (const [token, number] of numbers) {
      const root = rootOf(number);
      components.add(root);
      piece += `${token}\t${root}\n`;
      if (piece.length < 1 << 16) continue;
      yield piece;
      piece = "";
    }
    yield piece;
  }
  await pipeline(Readable.from(lines()), client.query(copyFrom("copy components from stdin")));
  await client.query("drop table components");
  return components.size;
}
