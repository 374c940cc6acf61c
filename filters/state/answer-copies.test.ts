import { describe, expect, it } from "vitest";
import { answer, answerKeys, begin, second, startAnswers } from "../../test/state/answer-driver.ts";
import type { Hash } from "../../test/state/budget-driver.ts";
import { hashOf } from "../../test/state/eviction.ts";

/** Answers that a worker has read twice lie in its own memory. By nothing but the hostcalls may anybody know. */

const key = hashOf(1);
const until = begin + 90 * second;
const later = (ms: number) => begin + ms;
const body = (text: string, bytes = 0) => ({ body: Buffer.from(text.padEnd(bytes)) });

/** Two workers that know the purges; `hit` says how many gets a hit took, and what came. */
async function start(more: Parameters<typeof startAnswers>[0] = {}) {
  const answers = await startAnswers(more);
  const [one, other] = answers.workers;
  for (const worker of answers.workers) worker.readPurges(begin);
  const hit = (worker = one, at: Hash = key, now = begin) => {
    worker.hostcalls();
    const found = worker.find(at, now);
    const gets = worker.hostcalls().filter((name) => name === "get").length;
    return [gets, found?.body.toString().trim()];
  };
  return { ...answers, one, other, hit };
}

describe("a copy", () => {
  it("is made of what is read twice, by each worker for itself", async () => {
    const { one, other, hit } = await start();
    one.put(key, answer(body("a")), until, begin);
    expect([hit(), hit(), hit(), hit()]).toEqual([
      [2, "a"],
      [2, "a"],
      [1, "a"],
      [1, "a"],
    ]);
    expect([hit(other), hit(other), hit(other)]).toEqual([
      [2, "a"],
      [2, "a"],
      [1, "a"],
    ]);
  });

  it("says all that the answer said", async () => {
    const { one } = await start();
    const stored = answer({ api: 3, flags: 1, contentType: "text/event-stream", ...body("a"), tokens: [7, 8, 9] });
    one.put(key, stored, until, begin);
    for (let i = 0; i < 4; i++) expect(one.find(key, begin)).toMatchObject({ ...stored, staleUntil: until });
  });

  it("is none of an answer that another worker has replaced, even by one of the same size", async () => {
    const { one, other, hit } = await start();
    one.put(key, answer(body("a")), until, begin);
    for (let i = 0; i < 3; i++) hit();
    other.put(key, answer(body("b")), until, later(1));
    expect([hit(), hit(), hit()]).toEqual([
      [2, "b"],
      [2, "b"],
      [1, "b"],
    ]);
  });

  it("ends with the answer: removed, purged, over", async () => {
    const { one, other, hit } = await start();
    const fill = (text: string) => {
      one.put(key, answer({ ...body(text), storedAt: later(100), expiresAt: later(900) }), later(901), later(100));
      for (let i = 0; i < 3; i++) hit(one, key, later(100));
      expect(hit(one, key, later(100))).toEqual([1, text]);
    };
    fill("a");
    other.remove(key);
    expect(hit(one, key, later(101))).toEqual([1, undefined]);
    fill("b");
    expect(hit(one, key, later(901))).toEqual([1, undefined]);
    other.purge("key", key, later(950), later(950));
    one.readPurges(later(950));
    expect(one.find(key, later(150))).toBeUndefined();
  });

  it("belongs to the whole key", async () => {
    const { one, hit } = await start();
    one.put(key, answer(body("a")), until, begin);
    for (let i = 0; i < 3; i++) hit();
    expect(hit(one, [key[0], key[1] ^ 1n])).toEqual([2, undefined]);
    expect(hit()[1]).toBe("a");
  });

  it("stands in for bytes that somebody has spoilt meanwhile", async () => {
    const { host, one, hit } = await start();
    one.put(key, answer(body("a")), until, begin);
    for (let i = 0; i < 3; i++) hit();
    for (const name of answerKeys(host)) host.sharedData.set("", name, new Uint8Array(40), 0);
    expect(hit()).toEqual([1, "a"]);
  });

  it("gives way: one of another key at its place, many that are larger than all its memory", async () => {
    const { one, hit } = await start({ maxBytes: 16 << 20, maxEntryBytes: 200_000 });
    const size = 120_000;
    const keys = Array.from({ length: 12 }, (_, i): Hash => [(BigInt(i) << 28n) | BigInt(i), BigInt(i)]);
    for (const [i, at] of keys.entries()) one.put(at, answer(body(`${i}`, size)), until, begin);
    for (const [i, at] of keys.entries()) for (let n = 0; n < 3; n++) expect(hit(one, at)[1]).toBe(`${i}`);
    // Eight of them fit.
    const gets = keys.map((at, i) => {
      const [count, text] = hit(one, at);
      expect(text).toBe(`${i}`);
      return count;
    });
    expect(gets.slice(0, 4)).toEqual([2, 2, 2, 2]);
    expect(gets.slice(4)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
    const twin: Hash = [((keys[11] as Hash)[0] & 0xffn) | (13n << 28n), 99n];
    one.put(twin, answer(body("twin")), until, begin);
    expect(hit(one, twin)).toEqual([2, "twin"]);
    expect(hit(one, keys[11])).toEqual([2, "11"]);
  });

  it("is not made of an answer that is too large for it", async () => {
    const { one, hit } = await start({ maxBytes: 16 << 20, maxEntryBytes: 200_000 });
    one.put(key, answer(body("a", 140_000)), until, begin);
    for (let i = 0; i < 5; i++) expect(hit()).toEqual([2, "a"]);
  });
});
