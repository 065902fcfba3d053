import { expect, test } from "vitest";
import type { PersonalKind } from "../domain/streams.ts";
import { ageBand } from "./age-band.ts";
import { keepRemains, loadRemains, remainColumns } from "./remains.ts";

const settings = { defaultCountry: "FR", ageOfConsent: 16 };
const keep = (personal: PersonalKind, remain: string, value: string): string | null | undefined =>
  keepRemains({ type: "string", personal, keep: [remain] }, value, null, settings)[0];

test.each([
  ["email", "domain", "Jane@MÜNCHEN.example", "xn--mnchen-3ya.example"],
  ["email", "domain", "none", null],
  ["phone", "country", "06 39 98 12 34", "FR"],
  ["phone", "country", "+44 20 7946 0123", "GB"],
  ["birth_date", "year", "1984-02-29", "1984"],
  ["postal_code", "area", "sw1a 1aa", "SW"],
  ["postal_code", "area", "75 011", "75"],
  ["ip", "prefix", "192.0.2.17", "192.0.2.0/24"],
  ["ip", "prefix", "::ffff:192.0.2.17", "192.0.2.0/24"],
  ["ip", "prefix", "2001:DB8:0:1::1", "2001:db8::/48"],
  ["ip", "prefix", "::1", "::/48"],
  ["ip", "prefix", "localhost", null],
  ["payment", "country", "de89 3704 0044 0532 0130 00", "DE"],
  ["payment", "country", "4111 1111 1111 1111", null],
  ["free_text", "length", "Zoë 🦊", "5"],
] as const)("of %s, its %s: %j leaves %j", (kind, remain, value, expected) => {
  expect(keep(kind, remain, value)).toBe(expected);
});

test("a text keeps its language, and none where too little tells", async () => {
  await loadRemains([{ type: "string", personal: "free_text", keep: ["language"] }]);
  const texts = [
    "I love this phone, the battery lasts.",
    "Das Gerät ist leider nach einer Woche kaputt gegangen.",
    "La batterie tient toute la journée.",
    "手机很好，我很喜欢。",
    "👍",
    "12345",
    "",
  ];
  expect(texts.map((text) => keep("free_text", "language", text))).toEqual(["en", "de", "fr", "zh", null, null, null]);
  for (const text of ["\0", "\ud800", "a".repeat(1_000_000)]) keep("free_text", "language", text);
});

test("an age falls into its band on the day, and counts as the lower one where only year or month are known", () => {
  const day = new Date("2026-03-01T00:00:00Z");
  const bands = [
    "2010-03-01",
    "2010-03-02",
    "2010",
    "2009",
    "2008-03-01",
    "2001-03-01",
    "1960-01-01",
    "2026-03-02",
    "1890-01-01",
    "soon",
  ];
  expect(bands.map((date) => ageBand(date, 16, day))).toEqual([
    "16-17",
    "under_16",
    "under_16",
    "16-17",
    "18-24",
    "25-34",
    "65+",
    null,
    null,
    null,
  ]);
  expect(ageBand("2010-03-01", 18, day)).toBe("under_18");
  expect(ageBand("2009-02-28", 13, day)).toBe("13-17");
});

test("columns are named by field and remain", () => {
  const schema = { type: "string" as const, personal: "birth_date" as const, keep: ["year", "age_band"] };
  expect(remainColumns("birth_date", schema)).toEqual([
    { name: "birth_date_year", type: "integer" },
    { name: "birth_date_age_band", type: "text" },
  ]);
});
