import fc from "fast-check";
import { expect, test } from "vitest";
import { type Move, moved } from "./deep";

const whole = { from: 1000, to: 9000 };

test("however one moves, the part stays within the whole and wide enough", () => {
  const moves = fc.array(fc.constantFrom<Move>("earlier", "later", "nearer", "wider", "all"), { maxLength: 60 });
  fc.assert(
    fc.property(moves, (all) => {
      let part = whole;
      for (const how of all) {
        part = moved(part, whole, how, 10);
        expect(part.from).toBeGreaterThanOrEqual(whole.from);
        expect(part.to).toBeLessThanOrEqual(whole.to);
        expect(part.to - part.from).toBeGreaterThanOrEqual(10 - 1e-6);
      }
    }),
  );
});

test("nearer and wider keep the middle, earlier and later the width", () => {
  expect(moved(whole, whole, "nearer", 1)).toEqual({ from: 3000, to: 7000 });
  expect(moved({ from: 3000, to: 7000 }, whole, "later", 1)).toEqual({ from: 5000, to: 9000 });
  expect(moved({ from: 3000, to: 4000 }, whole, "wider", 1)).toEqual({ from: 2500, to: 4500 });
  expect(moved({ from: 3000, to: 4000 }, whole, "all", 1)).toEqual(whole);
});
