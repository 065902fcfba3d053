import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { compileSchema } from "../config/validate.ts";
import type { Destination, Parcel } from "./destination.ts";
import { ConnectorError } from "./errors.ts";
import { destinations } from "./index.ts";

/**
 * What deliveries count on, asked of every destination of the registry. A connector brings
 * `connectors/<name>/destination-fixture.ts`, whose shape is this.
 */
export interface DestinationFixture {
  config: unknown;
  /** Configs that a call can't do with: the sentence names what, and never a secret. */
  failures: { title: string; config: unknown; message: RegExp; secrets: string[] }[];
  /** Whom the receiver has in an audience, by id. */
  audience(name: string): Promise<string[]>;
  /** Everything that the receiver keeps of an id, as text. */
  keeps(id: string): Promise<string>;
  close(): Promise<void>;
}

const connectors = await Promise.all(
  Object.entries(destinations)
    .filter(([, destination]) => "deliver" in destination)
    .map(async ([name, destination]) => {
      const { prepare } = (await import(`./${name}/destination-fixture.ts`)) as {
        prepare(directory: string): Promise<DestinationFixture>;
      };
      const directory = await mkdtemp(join(tmpdir(), `miette-to-${name}-`));
      return {
        name,
        destination: destination as unknown as Required<Destination<unknown>>,
        directory,
        fixture: await prepare(directory),
      };
    }),
);
afterAll(async () => {
  for (const { fixture, directory } of connectors) {
    await fixture.close();
    await rm(directory, { recursive: true, force: true });
  }
});

const id = (n: number) => `${n}`.padStart(32, "0");
const member = (n: number) => ({ id: id(n), fields: { email: [`p${n}@shop.example`], note: ['=1+1,"x"'] } });
const parcel = (key: string, second: number, people: number[]): Parcel => ({
  key,
  audience: "buyers",
  purpose: "marketing",
  at: `2026-11-24T12:00:0${second}.000Z`,
  members: people.map(member),
});

describe.each(connectors)("the destination $name", ({ destination, directory, fixture }) => {
  const { config, failures } = fixture;
  const options = { directory, signal: new AbortController().signal };

  test("has a config whose every key is described, and that its own is", () => {
    const validate = compileSchema(destination.spec);
    expect(validate(config), JSON.stringify(validate.errors)).toBe(true);
    const { properties } = destination.spec as { properties: Record<string, { description?: string }> };
    expect(Object.entries(properties).filter(([, { description }]) => !description)).toEqual([]);
  });

  test("delivers, removes and erases, each once for a key, however often it is called", async () => {
    for (let time = 0; time < 2; time += 1) {
      expect(await destination.deliver(config, parcel("k1", 0, [1, 2, 3]), options)).toMatch(/accepted|confirmed/);
    }
    expect(await fixture.audience("buyers")).toEqual([id(1), id(2), id(3)]);
    const bare = parcel("k2", 1, [2]);
    for (const each of bare.members) each.fields = {};
    for (let time = 0; time < 2; time += 1)
      expect(await destination.remove?.(config, bare, options)).not.toBe("unsupported");
    expect(await fixture.audience("buyers")).toEqual([id(1), id(3)]);
    const erasure = { key: "k3", at: "2026-11-24T12:00:02.000Z", members: [member(1)] };
    for (let time = 0; time < 2; time += 1)
      expect(await destination.erase?.(config, erasure, options)).not.toBe("unsupported");
    expect(await fixture.audience("buyers")).toEqual([id(3)]);
    expect(await fixture.keeps(id(1))).not.toContain("p1@shop.example");
    expect(await fixture.keeps(id(3))).toContain("p3@shop.example");
  });

  test.each(failures)("says what is wrong: $title", async ({ config: wrong, message, secrets }) => {
    const error: unknown = await destination
      .deliver(wrong, parcel("k9", 3, [9]), options)
      .catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ConnectorError);
    expect((error as Error).message).toMatch(message);
    for (const secret of secrets) expect((error as Error).message).not.toContain(secret);
  });

  test("a call that is broken off ends", async () => {
    const signal = AbortSignal.abort(new DOMException("over", "AbortError"));
    const ended = await destination
      .deliver(config, parcel("k8", 4, []), { directory, signal })
      .catch((error: unknown) => error);
    expect(ended === "confirmed" || (ended as Error).name === "AbortError").toBe(true);
  });
});
