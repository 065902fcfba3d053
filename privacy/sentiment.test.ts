import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HAS_SHARED_DATA, SHARED_DATA } from "../test/pipeline.ts";
import { sentiment } from "./sentiment.ts";

test("praise is above zero, complaint below, and a plain statement at zero", () => {
  expect(sentiment("I love this phone, it is wonderful and the battery lasts.")).toBeGreaterThan(0.2);
  expect(sentiment("Terrible quality, it broke after a day and I hate it.")).toBeLessThan(-0.2);
  expect(sentiment("The box is on the table in the kitchen.")).toBe(0);
});

test("the words of a mood are turned round by a negation", () => {
  expect(sentiment("This is not good.")).toBeLessThan(0);
});

test("the figures stay as they are, else NORMALISER_VERSION has to be raised so that records land anew", () => {
  expect(
    ["Very good phone.", "The worst phone that I ever had.", "I am happy, but it is a bit slow.", "👍"].map(sentiment),
  ).toMatchInlineSnapshot(`
    [
      0.776,
      -0.6,
      0.75,
      0.6,
    ]
  `);
});

test.each([
  ["French", "Le téléphone est arrivé en deux jours et la batterie tient toute la journée."],
  ["German", "Das Gerät ist leider nach einer Woche kaputt gegangen, sehr schade."],
  ["Spanish", "El teléfono llegó tarde y la pantalla estaba rota."],
  ["Dutch", "Dit is een heel goede telefoon en de batterij gaat de hele dag mee."],
  ["Chinese", "手机很好，我很喜欢。"],
  ["Arabic", "الهاتف ممتاز والبطارية تدوم طويلا"],
])("a text in %s has none, rather than a neutral one", (_, text) => {
  expect(sentiment(text)).toBeNull();
});

test("whatever is written, the figure lies between -1 and 1 or is missing", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" })), (text) => {
      const value = sentiment(text);
      expect(value === null || (value >= -1 && value <= 1)).toBe(true);
    }),
  );
  for (const text of ["", " ", "\0", "\ud800", "!".repeat(100_000), "great ".repeat(100_000)]) sentiment(text);
});

test("a word of a million letters costs as little as its first: it is cut, and so is a long text", () => {
  expect(sentiment(`${"a".repeat(64)}great`)).toBeGreaterThan(0);
  expect(sentiment(`It is ${"so ".repeat(1_700)}great`)).toBe(sentiment(`It is ${"so ".repeat(1_700)}terrible`));
});

if (!HAS_SHARED_DATA) console.warn(`review sentences are absent at ${SHARED_DATA}: their test is skipped`);

describe.skipIf(!HAS_SHARED_DATA)("sentences of real reviews, labelled by people", () => {
  test.each([
    ["amazon_cells_labelled.txt", 999, 0.82],
    ["yelp_restaurant_reviews.tsv", 1000, 0.8],
  ])("%s: liked where the mood is above zero", async (file, count, least) => {
    const lines = (await readFile(join(SHARED_DATA, "uci_reviews", file), "utf8")).split("\n").slice(1).filter(Boolean);
    const right = lines.filter((line) => {
      const [text, liked] = line.split(/\t(?=[01]\s*$)/) as [string, string];
      return (sentiment(text) ?? 0) > 0 === (liked.trim() === "1");
    });
    console.log(`${file}: accuracy ${(right.length / lines.length).toFixed(3)}`);
    expect(lines).toHaveLength(count);
    expect(right.length / lines.length).toBeGreaterThanOrEqual(least);
  });
});
