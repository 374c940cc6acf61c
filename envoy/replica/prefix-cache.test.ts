import { expect, test } from "vitest";
import { blockChain, PrefixCache } from "./prefix-cache.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("equal beginnings give equal leading hashes, and only those", () => {
  const one = blockChain(bytes("aaaabbbbcccc"), 4, "m", 100);
  const two = blockChain(bytes("aaaaXbbbcccc"), 4, "m", 100);
  expect(one).toHaveLength(3);
  expect(two[0]).toBe(one[0]);
  expect(two[1]).not.toBe(one[1]);
  expect(two[2]).not.toBe(one[2]); // same bytes, other prefix
});

test("another model shares nothing; incomplete blocks and blocks beyond the limit are left out", () => {
  expect(blockChain(bytes("aaaa"), 4, "m", 9)).not.toEqual(blockChain(bytes("aaaa"), 4, "n", 9));
  expect(blockChain(bytes("aaaabbb"), 4, "m", 9)).toHaveLength(1);
  expect(blockChain(bytes("aaaabbbbcccc"), 4, "m", 2)).toHaveLength(2);
});

test("hashes of 200,000 distinct blocks do not collide", () => {
  const text = new Uint8Array(800_000);
  for (let i = 0; i < text.length; i++) text[i] = (i * 31 + (i >> 8)) & 255;
  expect(new Set(blockChain(text, 4, "m", 200_000)).size).toBe(200_000);
});

test("the least recent prefix leaves first, tail before head", () => {
  const cache = new PrefixCache();
  cache.insert([1, 2, 3], 5);
  cache.insert([11, 12], 5);
  cache.insert([1, 2, 3], 5); // used again: now 11, 12 are the oldest
  cache.insert([21], 5);
  expect(cache.match([1, 2, 3])).toBe(3);
  expect(cache.match([11, 12])).toBe(1);
  cache.trim(2);
  expect(cache.match([21])).toBe(1);
  expect(cache.match([1, 2, 3])).toBe(1);
});

test("a chain longer than the cache keeps its head", () => {
  const cache = new PrefixCache();
  cache.insert([1, 2, 3, 4], 2);
  expect(cache.size).toBe(2);
  expect(cache.match([1, 2, 3, 4])).toBe(2);
});
