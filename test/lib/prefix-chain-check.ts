/** Prompts, and chains of them that are compared with each other and with the reference. */
import { expect } from "vitest";
import type { Api } from "./chat-request-driver.ts";
import { COMPLETE, type Options, type Read, read } from "./prefix-chain-driver.ts";
import { canonical, chainOf } from "./prefix-chain-reference.ts";

const windows = [16, 17, 61, 300];

/** Reads `json` in every way and compares with the reference. */
export function check(api: Api, json: string, options: Options = {}): Read {
  const whole = read(api, json, options);
  const expected = chainOf(canonical(api, json), options.salt ?? "", options.model ?? "");
  expect(whole.status).toBe(COMPLETE);
  expect({ hashes: whole.hashes, bytes: whole.bytes, tail: whole.tail }).toEqual(expected);
  const at = (blocks: number) => expected.hashes[Math.min(blocks, expected.hashes.length) - 1] ?? expected.tail;
  expect(whole.keys).toEqual([expected.tail, at(1), at(2), at(4), at(5000)]);
  for (const step of [1, 7]) expect(read(api, json, { ...options, step })).toEqual(whole);
  for (const window of windows) {
    const read_ = read(api, json, { ...options, window });
    expect(read_.windows).toBeGreaterThanOrEqual(0);
    expect({ ...read_, windows: 0 }).toEqual({ ...whole, windows: 0 });
  }
  return whole;
}

export const same = (a: Read, b: Read) => expect([b.hashes, b.bytes, b.tail]).toEqual([a.hashes, a.bytes, a.tail]);

/** The same document with all that is not ASCII as escapes. */
export const ascii = (json: string) =>
  json.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** A text of `length` characters that has spaces. */
export const prose = (length: number, word = "word") => `${word} `.repeat(length).slice(0, length);
