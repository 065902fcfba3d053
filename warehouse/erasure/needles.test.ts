import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { Needles } from "./needles.ts";

const hex = (): string => randomBytes(16).toString("hex");
const token = `email_${hex()}`;
const person = crypto.randomUUID();
const needles = new Needles({
  tokens: [token],
  customers: [person],
  identifiers: [
    { kind: "email", canonical: "zoë.o'neil+x@münchen.example" },
    { kind: "email", canonical: "canary@victim.test" },
    { kind: "phone", canonical: "+4915199990001" },
    { kind: "customer_id", canonical: "7" },
  ],
});

test.each([
  token,
  `https://x.test/?to=${token}&x=1`,
  `{"a": "${token.toUpperCase()}"}`,
  `${token}\t7`,
  person,
  `{${crypto.randomUUID()},${person.toUpperCase()}}`,
  `x${person}x`,
  "+4915199990001",
  "tel:+4915199990001;",
  "Canary@Victim.Test",
  "mailto:canary@victim.test.",
  '"canary@victim.test"',
  "Zoë.O'Neil+x@München.example",
])("finds %s in the middle, at the beginning and at the end of a text", (text) => {
  expect(needles.count(`a\n${text}\nb\n`)).toEqual({ lines: 3, hits: 1 });
  expect(needles.count(text)).toEqual({ lines: 0, hits: 1 });
  expect(needles.count(`${text}\n${text} ${text}\n\n${text}`)).toEqual({ lines: 3, hits: 3 });
});

test.each([
  `email_${hex()}`,
  `${token}0`,
  token.slice(0, -1),
  token.slice(token.indexOf("_") + 1),
  crypto.randomUUID(),
  person.replace("-", "_"),
  person.slice(0, -1),
  "+49151999900011",
  "+491519999000",
  "4915199990001",
  "scanary@victim.test",
  "canary@victim.tests",
  "canary@",
  "@victim.test",
  "7",
  "-_+@",
])("does not find %s", (text) => {
  expect(needles.count(`${text}\n${text}`)).toEqual({ lines: 1, hits: 0 });
});

test("a line that is marked counts, and an empty text has no line", () => {
  const mark = "!".charCodeAt(0);
  expect(needles.count("!\n\n!\tx\nx!\n", mark)).toEqual({ lines: 4, hits: 2 });
  expect(needles.count("")).toEqual({ lines: 0, hits: 0 });
});
