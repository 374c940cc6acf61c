import fc from "fast-check";
import { expect, it } from "vitest";
import { wasm } from "../../../test/lib/pick-driver.ts";

it("is a set of slots, whatever is done to it", () => {
  const slot = fc.oneof(fc.constantFrom(0, 63, 64, 127, 128, 191, 192, 255), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), slot), { maxLength: 80 }), slot, (steps, from) => {
      wasm.maskClear();
      const set = new Set<number>();
      for (const [add, at] of steps) {
        if (add) {
          wasm.maskAdd(at);
          set.add(at);
        } else {
          wasm.maskRemove(at);
          set.delete(at);
        }
      }
      const sorted = [...set].sort((a, b) => a - b);
      expect(wasm.maskCount()).toBe(set.size);
      expect(wasm.maskIsEmpty() === 1).toBe(set.size === 0);
      expect(wasm.maskHas(from) === 1).toBe(set.has(from));
      expect(wasm.maskNext(from)).toBe(sorted.find((at) => at >= from) ?? -1);
      expect(wasm.maskNext(256)).toBe(-1);
      expect(sorted.map((_, rank) => wasm.maskAt(rank))).toEqual(sorted);
      expect(wasm.maskAt(sorted.length)).toBe(-1);
    }),
  );
});
