/** What a slab may say: every answer that was ever stored, and every purge. It forgets nothing and evicts nothing. */
import type { Answer, FoundAnswer, PurgeKind } from "./answer-driver.ts";
import type { Hash } from "./budget-driver.ts";

export interface StoredOnce {
  answer: Answer;
  staleUntil: number;
  /** Turns of the clock of events: when the store began, and when it ended; undefined while it runs, or when it was given up. */
  from: number;
  to: number | undefined;
}

interface PurgedOnce {
  kind: PurgeKind;
  target: Hash;
  at: number;
  turn: number;
}

const sixtyDays = 60 * 86_400_000;
const same = (a: Hash, b: Hash) => a[0] === b[0] && a[1] === b[1];

export class ReferenceAnswers {
  #turn = 0;
  readonly #stored = new Map<string, StoredOnce[]>();
  readonly #removed = new Map<string, { from: number; to: number }>();
  readonly #purges: PurgedOnce[] = [];

  turn(): number {
    return ++this.#turn;
  }

  #of(key: Hash): StoredOnce[] {
    const name = key.join();
    const list = this.#stored.get(name) ?? [];
    this.#stored.set(name, list);
    return list;
  }

  begin(key: Hash, answer: Answer, staleUntil: number): StoredOnce {
    const until = Math.min(Math.max(staleUntil, answer.expiresAt), answer.storedAt + sixtyDays);
    const once: StoredOnce = { answer, staleUntil: until, from: this.turn(), to: undefined };
    this.#of(key).push(once);
    return once;
  }

  purge(kind: PurgeKind, target: Hash, at: number, now: number): void {
    this.#purges.push({ kind, target, at: Math.min(at, now), turn: this.turn() });
  }

  removed(key: Hash, from: number): void {
    this.#removed.set(key.join(), { from, to: this.turn() });
  }

  /** By what was purged before that turn. */
  isDead(key: Hash, { storedAt, model, tenant }: Answer, from: number): boolean {
    return this.#purges.some(({ kind, target, at, turn }) => {
      if (storedAt > at || turn > from) return false;
      if (kind === "key") return same(key, target);
      if (kind === "model") return model === target[0];
      return kind === "all" || tenant === target[0];
    });
  }

  isServable(key: Hash, { answer, staleUntil }: StoredOnce, now: number, from = this.#turn): boolean {
    return now < staleUntil && answer.storedAt <= now + 60_000 && !this.isDead(key, answer, from);
  }

  /** Why the answer must not have been found; undefined when it may. `from`: when the look began. */
  objection(key: Hash, found: FoundAnswer, now: number, from: number): string | undefined {
    const once = this.#of(key).find(({ answer }) => answer.body.equals(found.body));
    if (!once) return "it was never stored under the key";
    const { answer, staleUntil } = once;
    const { contentType, api, flags, storedAt, expiresAt, tenant, model } = answer;
    const told = [
      found.contentType,
      found.api,
      found.flags,
      found.storedAt,
      found.expiresAt,
      found.tenant,
      found.model,
    ];
    const given = [contentType, api, flags, storedAt, Math.min(expiresAt, storedAt + sixtyDays), tenant, model];
    if (told.join() !== given.join() || found.tokens.join() !== answer.tokens.join()) return "its meta is another one";
    if (found.staleUntil !== staleUntil) return "its stale time is another one";
    if (!this.isServable(key, once, now, from)) return "it is over, purged, or of a time to come";
    if ((found.found === "fresh") !== now < expiresAt) return `it is not ${found.found}`;
    const end = once.to;
    if (end === undefined) return undefined;
    const next = this.#of(key).find((other) => other.from > end && (other.to ?? from) < from);
    if (next) return "another one was stored behind it";
    const removed = this.#removed.get(key.join());
    return removed && removed.from > end && removed.to < from ? "it was removed" : undefined;
  }

  /** The answer that a slab without bounds has now, when calls happen one after the other and nothing is removed. */
  latest(key: Hash): StoredOnce | undefined {
    return this.#of(key).findLast(({ to }) => to !== undefined);
  }
}
