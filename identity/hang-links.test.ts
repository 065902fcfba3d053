import fc from "fast-check";
import { expect, test } from "vitest";
import { hangLinks, otherEnd } from "./hang-links.ts";

/** Trees over `size` identifiers, with the ends of each link in any order, and the smallest identifier of each tree. */
const forests = fc
  .integer({ min: 1, max: 40 })
  .chain((size) =>
    fc.record({
      places: fc.shuffledSubarray(
        Array.from({ length: size }, (_, i) => i),
        { minLength: size },
      ),
      // Each identifier but the first is tied to one before it, or to none.
      ties: fc.array(fc.option(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { freq: 5 }), {
        minLength: size,
        maxLength: size,
      }),
      isHidden: fc.array(
        fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
        { minLength: size, maxLength: size },
      ),
      turned: fc.array(fc.boolean(), { minLength: size, maxLength: size }),
    }),
  )
  .map(({ places, ties, isHidden, turned }) => {
    const stronger: number[] = [];
    const weaker: number[] = [];
    const person = Int32Array.from(places, (_, i) => i);
    const shown: number[] = [];
    for (const [i, place] of places.entries()) {
      if (isHidden[i]) {
        person[place] = -1;
        continue;
      }
      const tie = ties[i];
      if (typeof tie === "number" && shown.length) {
        const other = shown[Math.floor(tie * shown.length)]!;
        const [a, b] = turned[i] ? [other, place] : [place, other];
        stronger.push(a);
        weaker.push(b);
        const smallest = Math.min(person[other]!, place);
        const old = person[other]!;
        for (const each of shown) if (person[each] === old) person[each] = smallest;
        person[place] = smallest;
      }
      shown.push(place);
    }
    return { links: { stronger: Int32Array.from(stronger), weaker: Int32Array.from(weaker) }, person };
  });

test("each link is one identifier's, and from link to link everybody comes to the person's smallest identifier", () => {
  fc.assert(
    fc.property(forests, ({ links, person }) => {
      const linkOf = hangLinks(links, person);
      const used = [...linkOf].filter((link) => link !== -1);
      expect(used.toSorted((a, b) => a - b)).toEqual([...links.stronger.keys()]);
      for (const [identifier, smallest] of person.entries()) {
        if (smallest === -1 || smallest === identifier) {
          expect(linkOf[identifier]).toBe(-1);
          continue;
        }
        let at = identifier;
        for (let steps = 0; at !== smallest; steps += 1) {
          expect(steps).toBeLessThan(person.length);
          at = otherEnd(links, linkOf[at]!, at);
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

test("a link by which the person's smallest identifier is the farther one is kept with the stronger end", () => {
  // 0 - 2 and 1 - 2: the second e-mail address was found by the device of the first.
  const links = { stronger: Int32Array.from([0, 1]), weaker: Int32Array.from([2, 2]) };
  expect([...hangLinks(links, Int32Array.from([0, 0, 0]))]).toEqual([-1, 1, 0]);
});
