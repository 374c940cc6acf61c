import { describe, expect, it } from "vitest";
import { QuestionSlots } from "./question-slots.ts";

const never = new AbortController().signal;

describe("slots for questions", () => {
  it("gives as many as there are, then to who waits longest", async () => {
    const slots = new QuestionSlots(2);
    const order: string[] = [];
    const take = (name: string, signal = never) =>
      slots.take(signal).then((release) => {
        order.push(release === undefined ? `${name} left` : name);
        return release;
      });
    const [a, b] = [await take("a"), await take("b")];
    const stop = new AbortController();
    const [c, d, e] = [take("c"), take("d", stop.signal), take("e")];
    await Promise.resolve();
    expect(order).toEqual(["a", "b"]);
    stop.abort();
    expect(await d).toBeUndefined();
    a?.();
    a?.(); // once counts
    const heldByC = await c;
    expect(order).toEqual(["a", "b", "d left", "c"]);
    b?.();
    const heldByE = await e;
    heldByC?.();
    heldByE?.();
    const all = await Promise.all([slots.take(never), slots.take(never)]);
    expect(all.every((release) => release !== undefined)).toBe(true);
    let third = false;
    void slots.take(never).then(() => {
      third = true;
    });
    await Promise.resolve();
    expect(third).toBe(false);
  });

  it("gives none after the end", async () => {
    expect(await new QuestionSlots(1).take(AbortSignal.abort())).toBeUndefined();
  });
});
