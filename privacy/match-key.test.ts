import { expect, test } from "vitest";
import { matchKeyText, phonetic, type PlannedMatchPart } from "./match-key.ts";

const part = (index: number, rest: Partial<PlannedMatchPart> = {}): PlannedMatchPart => ({
  field: "",
  index,
  personal: undefined,
  ...rest,
});
const text = (parts: PlannedMatchPart[][], ...values: (string | null)[]) =>
  matchKeyText(parts, (index) => values[index] ?? null, null);

test("names that sound alike have one code", () => {
  // The examples of the National Archives.
  const codes = {
    washington: "w252",
    lee: "l000",
    gutierrez: "g362",
    pfister: "p236",
    jackson: "j250",
    tymczak: "t522",
    ashcraft: "a261",
  };
  for (const [name, code] of Object.entries(codes)) expect(phonetic(name)).toBe(code);
  expect(phonetic("иванов")).toBe("иванов");
});

test("parts have one form for every spelling, and names meet in either order", () => {
  const key = [[part(0), part(1)], [part(2)]];
  const expected = text(key, "Éva", "O'Hara", "1990-01-02");
  expect(text(key, "ohara", "EVA", "19900102")).toBe(expected);
  expect(text([[part(0)], [part(1)]], "ab", "c")).not.toBe(text([[part(0)], [part(1)]], "a", "bc"));
});

test("beginnings, local parts and sounds are taken where a part asks for them", () => {
  expect(text([[part(0, { first: 3 })]], "Robertson")).toBe("rob");
  expect(text([[part(0, { as: "local_part", first: 3, personal: "email" })]], "r.obert@mail.example")).toBe("rob");
  expect(text([[part(0, { as: "phonetic" })]], "Rupert")).toBe(text([[part(0, { as: "phonetic" })]], "Robert"));
});

test("an absent part ties nobody to anybody", () => {
  expect(text([[part(0)], [part(1)]], "Robert", null)).toBeNull();
  expect(text([[part(0)], [part(1)]], "Robert", " - ")).toBeNull();
  expect(text([[part(0, { as: "local_part" })]], "no address")).toBeNull();
});
