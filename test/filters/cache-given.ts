/**
 * What upstreams have ever answered. Each answer has a number in its text, so that of each one which a client gets it can be told whose it was, how old it is, and whether it should ever have
 * been kept.
 */
import { expect } from "vitest";
import { PurgeKind } from "../../xds-server/state/answers/purge.ts";
import { nameHash } from "../../xds-server/state/answers/xxhash64.ts";
import { document, events } from "./cache-driver.ts";
import type { AnswersDouble } from "./cache-service.ts";

/** What is asked: the same for all who may share. */
export interface Question {
  tenant: string;
  model: string;
  text: string;
  stream: boolean;
}

/** Times of a configuration, in ms; another scope shares nothing. */
export interface Times {
  scope: string;
  ttl: number;
  revalidate: number;
  ifError: number;
  wait: number;
}

export const endings = [
  "whole",
  "cut",
  "filtered",
  "unstorable",
  "refused",
  "failed",
  "limited",
  "aborted",
  "reset",
  "local",
] as const;
export type Ending = (typeof endings)[number];

export interface Given {
  readonly key: string;
  readonly question: Question;
  /** When its request went upstream. */
  readonly sentAt: number;
  /** By the configuration of its request. */
  readonly expiresAt: number;
  readonly body: string;
  /** It came whole, and may be given again. */
  good: boolean;
}

/** Ms from a purge that a filter was told until all workers go by it. */
const HEARD = 500;
/** What a body is padded with: a set of the slab has room for one or two. */
const PADDING = "x".repeat(11_000);

export class GivenAnswers {
  readonly #list: Given[] = [];
  readonly #service: AnswersDouble;

  constructor(service: AnswersDouble) {
    this.#service = service;
  }

  /** The number of the answer to a request that goes upstream. */
  add(key: string, question: Question, sentAt: number, times: Times): number {
    const number = this.#list.length;
    const body = question.stream ? events(`#${number}#`).join("") : document(`#${number}#${PADDING}`);
    this.#list.push({ key, question, sentAt, expiresAt: sentAt + times.ttl, body, good: false });
    return number;
  }

  of(number: number): Given | undefined {
    return this.#list[number];
  }

  /** `at`: when it has to be alive still; `inclusive`: its last ms counts. */
  judge(key: string, body: string, at: number, window: number, inclusive: boolean): void {
    const letters = body.includes("data:")
      ? [...body.matchAll(/"content":"(.)"/g)].map(([, letter]) => letter).join("")
      : body;
    const number = Number(/#(\d+)#/.exec(letters)?.[1] ?? "-1");
    const given = this.#list[number];
    if (given === undefined) throw new Error(`nobody's answer: ${body.slice(0, 200)}`);
    expect(given.body === body, "byte for byte").toBe(true);
    expect(given.good, "of a whole answer").toBe(true);
    expect(given.key, "an answer to the same").toBe(key);
    const end = given.expiresAt + window + (inclusive ? 1 : 0);
    expect(at, "before it is over").toBeLessThan(end);
    for (const purge of this.#service.purges) {
      const means =
        purge.kind === PurgeKind.all ||
        (purge.kind === PurgeKind.model && purge.hash === nameHash(given.question.model)) ||
        (purge.kind === PurgeKind.tenant && purge.hash === nameHash(given.question.tenant));
      const heard = purge.toldAt !== undefined && purge.toldAt + HEARD <= at;
      expect(means && heard && given.sentAt <= purge.at, "purged").toBe(false);
    }
  }

  /** It is of no use any more. */
  isDead(given: Given, times: Times, now: number): boolean {
    const until = given.sentAt + times.ttl + Math.max(times.revalidate, times.ifError);
    return now >= until - 1 || this.#service.purges.some(({ at }) => given.sentAt <= at) || now >= given.expiresAt;
  }
}

export function written({ scope, ttl, revalidate, ifError, wait }: Times): object {
  return {
    scope,
    tenantHeader: "x-t",
    maxBytes: 1 << 20,
    service: { cluster: "answers", timeoutMs: 50 },
    rules: [
      {
        name: "all",
        key: [],
        cache: { temperature: "any" },
        ttlMs: ttl,
        staleWhileRevalidateMs: revalidate,
        staleIfErrorMs: ifError,
        singleFlight: { waitMs: wait },
      },
    ],
  };
}
