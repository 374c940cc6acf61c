/** Whether two requests share an answer. */
import { expect } from "vitest";
import { type Answer, type Body, type CacheHost, document, say, seen } from "./cache-driver.ts";
import type { Headers } from "./router-driver.ts";

export interface Asked {
  body?: Body;
  headers?: Headers;
  attributes?: Readonly<Record<string, string>>;
  worker?: number;
}

/**
 * What the second of two got: `shared`, the answer of the first; `apart`, one of its own; `bypass`, past the cache; `refused`, no upstream was asked. The
 * first one's answer has to be there behind it.
 */
export function second(
  cache: CacheHost,
  first: Asked,
  next: Asked,
  answers: [Answer | string, Answer | string] = both,
): string {
  const call = ({ body = say("q"), headers, worker, attributes }: Asked, answer: Answer | string) =>
    cache.call(body, answer, headers, worker, attributes);
  expect(call(first, answers[0])).toMatchObject({ upstream: true, cache: "miss", status: "200" });
  const got = call(next, answers[1]);
  if (got.cache === "bypass") return "bypass";
  if (!got.upstream && got.cache !== "hit") return `refused ${got.status}`;
  expect(got.body).toBe(textOf(answers[got.upstream ? 1 : 0]));
  expect(call(first, answers[1])).toMatchObject({ upstream: false, cache: "hit", body: textOf(answers[0]) });
  return got.upstream ? "apart" : "shared";
}

const textOf = (answer: Answer | string) => (typeof answer === "string" ? answer : (answer.pieces ?? []).join(""));
export const both: [string, string] = [document("of the first"), document("of the next")];

/** Prompts of its own for each pair, so that one cache is enough for all. */
let prompts = 0;
export const prompt = (): string => `prompt ${++prompts}`;

/** Whether the answer to the first is given to the second who asks. */
export function isKept(cache: CacheHost, body: object, answer: Answer | string, headers: Headers = []): boolean {
  expect(cache.call(body, answer, headers)).toMatchObject({ upstream: true });
  const again = cache.ask(body, headers);
  again.end();
  return seen(again).cache === "hit";
}
