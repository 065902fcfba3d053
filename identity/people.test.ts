import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { recognisePeople, withoutAnchor } from "./people.ts";

const NO_BELONGINGS = { holder: new Int32Array(), identifier: new Int32Array() };
const NOBODY_YET = former([], []);

test("new people are anchored at their strongest identifier and numbered in canonical order", () => {
  const people = recognisePeople(persons([0, 1, 0, -1, 1]), NOBODY_YET);
  expect(people).toEqual({
    placeOf: Int32Array.of(0, 1, 0, -1, 1),
    anchors: Int32Array.of(0, 1),
    sequences: Float64Array.of(1, 2),
    former: Int32Array.of(-1, -1),
    absorbed: [],
  });
});

test("a merge keeps the older person, whichever identifier is the stronger", () => {
  const people = recognisePeople(persons([0, 0, 0]), former([2, 0], [4, 7]));
  expect(people).toMatchObject({ former: Int32Array.of(0), anchors: Int32Array.of(2), sequences: Float64Array.of(4) });
});

test("of a person that comes apart the part with the anchor stays, the other is new", () => {
  const people = recognisePeople(persons([0, 1, 0, 1]), former([3], [4]));
  expect(people).toMatchObject({
    former: Int32Array.of(-1, 0),
    anchors: Int32Array.of(0, 3),
    sequences: Float64Array.of(5, 4),
  });
});

test("a person whose anchor became shared or vanished lives on with its strongest other identifier", () => {
  const person = persons([-1, 1, 2, 3]);
  const anchors = Int32Array.of(0, -1, 3);
  expect(withoutAnchor(person, anchors)).toEqual([0, 1]);
  const people = recognisePeople(person, {
    anchors,
    sequences: Float64Array.of(1, 2, 3),
    living: 3,
    lastSequence: 3,
    belongings: { holder: Int32Array.of(1, 0, 0, 0), identifier: Int32Array.of(3, 0, 2, 1) },
  });
  expect(people).toMatchObject({ former: Int32Array.of(0, -1, 2), anchors: Int32Array.of(1, 2, 3) });
});

test("who was merged into somebody comes back with the former id when their identifiers are parted", () => {
  const first = former([0, 1], [1, 2]);
  const merged = recognisePeople(persons([0, 0]), first);
  expect(merged).toMatchObject({ former: Int32Array.of(0), absorbed: [{ former: 1, anchor: 1, place: 0 }] });
  const after = { ...first, living: 1 };
  expect(recognisePeople(persons([0, 0]), after)).toEqual(merged);
  expect(recognisePeople(persons([0, 1]), after)).toMatchObject({
    former: Int32Array.of(0, 1),
    sequences: Float64Array.of(1, 2),
    absorbed: [],
  });
});

describe("whatever the partitions", () => {
  const partitions = fc.array(fc.integer({ min: -1, max: 6 }), { minLength: 12, maxLength: 12 }).map(persons);

  test("building again with what was published recognises everybody and makes nobody new", () => {
    fc.assert(
      fc.property(partitions, partitions, (before, now) => {
        const first = recognisePeople(before, NOBODY_YET);
        const second = recognisePeople(now, published(first, before, now));
        const again = recognisePeople(now, published(second, now, now));
        expect(again.anchors).toEqual(second.anchors);
        expect(again.sequences).toEqual(second.sequences);
        expect([...again.former]).not.toContain(-1);
      }),
    );
  });

  test("everybody is someone else, older people come first, and nobody gets two ids", () => {
    fc.assert(
      fc.property(partitions, partitions, (before, now) => {
        const first = recognisePeople(before, NOBODY_YET);
        const second = recognisePeople(now, published(first, before, now));
        expect(new Set(second.sequences).size).toBe(new Set(now.filter((name) => name !== -1)).size);
        for (const [place, sequence] of second.sequences.entries()) {
          const members = [...now.keys()].filter((identifier) => second.placeOf[identifier] === place);
          expect(members).toContain(second.anchors[place]);
          const anchored = members.filter(
            (identifier) => before[identifier] !== -1 && first.anchors.includes(identifier),
          );
          const known = anchored.map((identifier) => first.sequences[first.placeOf[identifier]!]!);
          if (known.length) expect(sequence).toBe(Math.min(...known));
        }
      }),
    );
  });
});

/** Names each identifier's group by its smallest member. */
function persons(groups: number[]): Int32Array {
  return Int32Array.from(groups, (group) => (group === -1 ? -1 : groups.indexOf(group)));
}

function former(anchors: number[], sequences: number[]) {
  return {
    anchors: Int32Array.from(anchors),
    sequences: Float64Array.from(sequences),
    living: anchors.length,
    lastSequence: Math.max(0, ...sequences),
    belongings: NO_BELONGINGS,
  };
}

/** What a publish of these people leaves for the next build, oldest first. */
function published(people: ReturnType<typeof recognisePeople>, person: Int32Array, now: Int32Array) {
  const order = [...people.sequences.keys()].toSorted((a, b) => people.sequences[a]! - people.sequences[b]!);
  const anchors = Int32Array.from(order, (place) => people.anchors[place]!);
  const lost = withoutAnchor(now, anchors);
  const belongings = [...person.keys()].filter((identifier) =>
    lost.includes(order.indexOf(people.placeOf[identifier]!)),
  );
  return {
    anchors,
    sequences: Float64Array.from(order, (place) => people.sequences[place]!),
    living: anchors.length,
    lastSequence: Math.max(0, ...people.sequences),
    belongings: {
      holder: Int32Array.from(belongings, (identifier) => order.indexOf(people.placeOf[identifier]!)),
      identifier: Int32Array.from(belongings),
    },
  };
}
