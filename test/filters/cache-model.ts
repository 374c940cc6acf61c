/**
 * A cache and all who ask it, step by step: who waits, who fetches, what each gets. Whether that is right, cache-given.ts knows of answers, and this of those who wait.
 */
import { expect } from "vitest";
import type { Stream } from "../host/index.ts";
import { type Answer, CacheHost, say, seen } from "./cache-driver.ts";
import { type Ending, type Given, GivenAnswers, type Question, type Times, written } from "./cache-given.ts";
import { AnswersDouble, type Forgotten, type ServiceMood } from "./cache-service.ts";
import type { Headers } from "./router-driver.ts";

interface Request {
  readonly stream: Stream;
  readonly question: Question;
  readonly key: string;
  readonly times: Times;
  readonly worker: number;
  readonly askedAt: number;
  /** It wanted a new answer. */
  readonly fresh: boolean;
  /** It has waited. */
  held: boolean;
  /** The call that it waited for ended so that it goes on its own. */
  released: boolean;
  sentAt: number;
  /** Number of its answer. */
  number: number;
  /** Pieces that its client has got. */
  pieces: number;
}

/** Ms beyond the bound of its rule that a request may wait: a tick, and the service. */
const SLACK = 1_000;
/** Leaders of a flight that may fail in a row. */
const MOST_FAILURES = 4;
/** Ms for which a worker that has trapped may seem to be there: until it counts as dead, and a tick. */
const SEEMS_ALIVE = 4_000;
export class CacheModel {
  readonly given: GivenAnswers;
  waiting: Request[] = [];
  running: Request[] = [];
  /** The call that others with the key wait for. */
  readonly #leading = new Map<string, Request>();
  /** Calls in a row that came to nothing, and at least as many as the workers have counted; the others may go on their own after some. */
  readonly #failures = new Map<string, number>();
  /** Until when workers may take those for waiting who went with a worker, or left one whose leader did: so long they count on. */
  readonly #ghosts = new Map<string, number>();
  /** Keys whose leader went with its worker, and nobody has taken over: one may still come to wait for it. */
  readonly #orphans = new Set<string>();
  /** Keys of which nobody knows whether one leads who was let go, until all their requests are over. */
  readonly #unsure = new Set<string>();
  readonly counts = new Map<string, number>();
  readonly service: AnswersDouble;
  readonly cache: CacheHost;
  readonly #dead = new Set<number>();
  readonly #workers: number;
  #times: Times;

  private constructor(cache: CacheHost, times: Times, workers: number) {
    [this.cache, this.#times, this.#workers] = [cache, times, workers];
    this.service = new AnswersDouble(cache.host);
    this.given = new GivenAnswers(this.service);
  }

  static async start(times: Times, workers: number): Promise<CacheModel> {
    const cache = await CacheHost.start(written(times), { workers, failurePolicy: "FAIL_RELOAD" });
    return new CacheModel(cache, times, workers);
  }

  get now(): number {
    return this.service.now;
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  configure(times: Times): void {
    this.cache.configure(written(times));
    this.#times = times;
    this.#count("configure");
    this.sweep();
  }

  /** `between` is asked on another worker, before the n-th access of the first one to shared data. */
  ask(
    question: Question,
    fresh: boolean,
    any: number,
    between?: { at: number; question: Question; worker: number },
  ): void {
    const worker = any % this.#workers;
    if (this.#dead.has(worker) && !this.#revive(worker)) return;
    const { sharedData } = this.cache.host;
    const other = (between?.worker ?? 0) % this.#workers;
    let left = between === undefined || this.#dead.has(other) || other === worker ? -1 : between.at;
    sharedData.interleave = () => {
      if (left-- === 0 && between !== undefined) this.#ask(between.question, false, other);
    };
    this.#ask(question, fresh, worker);
    sharedData.interleave = undefined;
    this.sweep();
  }

  #ask(question: Question, fresh: boolean, worker: number): void {
    const { tenant, model, text, stream } = question;
    const headers: Headers = [["x-t", tenant], ...(fresh ? ([["cache-control", "no-cache"]] as Headers) : [])];
    const times = this.#times;
    const key = JSON.stringify([times.scope, tenant, model, text, stream]);
    const askedAt = this.now;
    const sent = this.cache.ask(say(text, { model, ...(stream ? { stream } : {}) }), headers, worker);
    this.waiting.push({
      stream: sent,
      question,
      key,
      times,
      worker,
      askedAt,
      fresh,
      held: false,
      released: false,
      sentAt: 0,
      number: -1,
      pieces: 0,
    });
  }

  /** Looks at all who waited: what they got, and whether they should have. */
  sweep(): void {
    const before = this.waiting;
    this.waiting = [];
    for (const one of before) {
      if (one.stream.localReply !== undefined) this.#served(one);
      else if (one.stream.upstream.ended) this.#sent(one);
      else {
        expect(one.stream.ended, "a request that nobody ended").toBe(false);
        expect(this.now - one.askedAt, "ms that a request has waited").toBeLessThanOrEqual(one.times.wait + SLACK);
        one.held = true;
        this.#joined(one.key);
        this.waiting.push(one);
      }
    }
    for (const key of this.#unsure)
      if (![...this.waiting, ...this.running].some((one) => one.key === key)) this.#unsure.delete(key);
  }

  #sent(one: Request): void {
    one.sentAt = this.now;
    const waited = one.sentAt - one.askedAt;
    const alone = one.fresh || one.released || waited >= one.times.wait;
    const other = this.#leading.get(one.key);
    if (!this.#unsure.has(one.key)) {
      if (!alone) {
        expect(other === undefined ? "nobody" : `request ${other.number}`, `who fetches ${one.key} besides`).toBe(
          "nobody",
        );
        if (!one.held) this.#beginAnew(one.key);
        this.#orphans.delete(one.key);
        this.#leading.set(one.key, one);
      } else if (!one.fresh && other === undefined) this.#unsure.add(one.key);
    }
    this.#count(alone ? "alone" : one.held ? "handover" : "miss");
    one.number = this.given.add(one.key, one.question, one.sentAt, one.times);
    this.running.push(one);
  }

  /** One has joined who does not lead. */
  #joined(key: string): void {
    if (this.#orphans.has(key)) this.#ghosts.set(key, Number.POSITIVE_INFINITY);
  }

  /** A flight begins that nobody waits for. Whoever has seemed to has been asked. */
  #beginAnew(key: string): void {
    const until = this.#ghosts.get(key) ?? 0;
    if (until < this.now) this.#failures.delete(key);
    if (until === Number.POSITIVE_INFINITY) this.#ghosts.set(key, this.now + SEEMS_ALIVE);
  }

  /** Those with the key go with their worker. Who leads may be one of those who wait, for the service. */
  #lose(key: string, worker: number): void {
    const leader = this.#leading.get(key);
    const waiting = this.waiting.filter((one) => one.key === key);
    const leads = leader?.worker === worker || (leader === undefined && waiting.some((one) => one.worker === worker));
    if (leads) {
      this.#leading.delete(key);
      this.#orphans.add(key);
      this.#failures.set(key, (this.#failures.get(key) ?? 0) + 1);
    }
    if (waiting.length === 0) return;
    const until =
      leads && waiting.some((one) => one.worker !== worker) ? Number.POSITIVE_INFINITY : SEEMS_ALIVE + this.now;
    this.#ghosts.set(key, Math.max(until, this.#ghosts.get(key) ?? 0));
  }

  #served(one: Request): void {
    const got = seen(one.stream);
    expect(got.status).toBe("200");
    this.#count(got.cache ?? "none");
    // With an old answer it did not wait, but it had joined.
    if (got.cache === "stale") this.#joined(one.key);
    const limit = got.cache === "stale" ? one.times.revalidate : 0;
    this.given.judge(one.key, got.body, this.now, limit, got.cache === "stale");
    expect(["hit", "coalesced", "stale"]).toContain(got.cache);
  }

  /** The upstream sends more of an answer. */
  more(which: number): void {
    const one = this.running[which % Math.max(this.running.length, 1)];
    if (one === undefined) return;
    this.#begin(one);
    const piece = this.#piecesOf(one)[one.pieces];
    if (piece === undefined || one.pieces >= this.#piecesOf(one).length - 1) return;
    one.stream.responseBody(piece);
    one.pieces++;
  }

  #piecesOf(one: Request): string[] {
    const body = this.given.of(one.number)?.body ?? "";
    return body.match(/[\s\S]{1,3000}/g) ?? [];
  }

  #begin(one: Request, more: Record<string, string> = {}): void {
    if (one.pieces > 0 || one.stream.response.headers !== undefined) return;
    const type = one.question.stream ? "text/event-stream" : "application/json";
    one.stream.responseHeaders({ ":status": "200", "content-type": type, a: "1", b: "2", c: "3", d: "4", ...more });
  }

  end(which: number, ending: Ending): void {
    const [one] = this.running.splice(which % Math.max(this.running.length, 1), 1);
    if (one === undefined) return;
    const { stream } = one;
    const given = this.given.of(one.number);
    if (given === undefined) return;
    const begun = stream.response.headers !== undefined;
    const leads = this.#leading.get(one.key) === one;
    if (leads) this.#leading.delete(one.key);
    this.#count(ending);
    const rest = this.#piecesOf(one).slice(one.pieces);
    const failure: Answer = {
      status: ending === "refused" ? "400" : ending === "limited" ? "429" : "503",
      pieces: ["no"],
    };
    const real = begun && ["unstorable", "refused", "failed", "limited", "local"].includes(ending) ? "cut" : ending;
    // What is told to those who wait is decided before they are.
    const failures = real === "whole" ? 0 : (this.#failures.get(one.key) ?? 0) + 1;
    if (leads) this.#failures.set(one.key, failures);
    given.good = real === "whole";
    const isPrivate = real === "filtered" || real === "unstorable" || real === "refused";
    // A good answer may be of no use any more when it comes.
    if (
      leads &&
      (isPrivate || failures >= MOST_FAILURES || (given.good && this.given.isDead(given, one.times, this.now)))
    )
      for (const other of this.waiting) other.released ||= other.held && other.key === one.key;
    if (real === "aborted") stream.end();
    else if (real === "reset") stream.reset("upstream_reset_after_response_started{connection_termination}");
    else if (real === "local")
      stream.reply({
        status: 503,
        details: "no_healthy_upstream",
        body: Buffer.from("no healthy upstream"),
        headers: [],
        grpcStatus: undefined,
      });
    else if (real === "failed" || real === "refused" || real === "limited") this.cache.answer(stream, failure);
    else {
      this.#begin(one, real === "unstorable" ? { "cache-control": "no-store" } : {});
      const text =
        real === "cut"
          ? rest.join("").slice(0, -20)
          : real === "filtered"
            ? rest.join("").replace('"stop"', '"content_filter"')
            : rest.join("");
      stream.responseBody(text, { endOfStream: true });
    }
    this.cache.host.turn();
    this.#compare(one, given, real);
    this.sweep();
  }

  /** What the client of a call got that came to its end. */
  #compare(one: Request, given: Given, ending: Ending): void {
    const got = seen(one.stream);
    if (ending === "whole") expect(got).toMatchObject({ status: "200", body: given.body });
    if (ending !== "failed" && ending !== "local") return;
    if (got.cache !== "stale") {
      expect(got.status).toBe("503");
      return;
    }
    this.#count("stand-in");
    this.given.judge(one.key, got.body, this.now, one.times.ifError, true);
  }

  /** What is stored grows old, and the upstream fails. */
  outlive(question: Question, worker: number): void {
    this.pass(this.#times.ttl);
    this.ask(question, false, worker);
    this.end(Math.max(this.running.length - 1, 0), "failed");
  }

  /** A client that waits goes away. */
  leave(which: number): void {
    const [one] = this.waiting.splice(which % Math.max(this.waiting.length, 1), 1);
    one?.stream.end();
    this.cache.host.turn();
    this.sweep();
  }

  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 50) {
      this.cache.host.advance(Math.min(left, 50));
      this.sweep();
    }
  }

  purge(what: Forgotten): void {
    this.service.purge(what);
    this.#count("purge");
    this.sweep();
  }

  mood(mood: ServiceMood): void {
    this.service.mood = mood;
  }

  /** Some of what is stored is gone, cut, or what belongs elsewhere: values of a set and of an answer that are not of one time. */
  spoil(which: number, how: "empty" | "foreign" | "cut"): void {
    const { sharedData } = this.cache.host;
    const keys = sharedData.keys("cache").filter((key) => key.startsWith("tm.pc.1"));
    const [key, other] = [keys[which % Math.max(keys.length, 1)], keys[(which * 7) % Math.max(keys.length, 1)]];
    if (key === undefined || other === undefined) return;
    const value = (of: string) => sharedData.get("cache", of)?.value ?? new Uint8Array();
    const spoiled = {
      empty: () => new Uint8Array(),
      foreign: () => value(other),
      cut: () => value(key).slice(0, which % 200),
    };
    sharedData.set("cache", key, spoiled[how](), 0);
    this.#count("spoil");
  }

  /** The module of a worker traps: its requests are over. */
  trap(any: number): void {
    const worker = any % this.#workers;
    if (this.#dead.has(worker)) return;
    const disarm = this.cache.host.faults.inject({ call: "proxy_get_buffer_bytes", trap: true });
    this.cache.ask(say("trap"), [], worker).end();
    disarm();
    this.#dead.add(worker);
    this.#count("trap");
    const lost = [...this.waiting, ...this.running].filter((one) => one.worker === worker);
    for (const key of new Set(lost.map((one) => one.key))) this.#lose(key, worker);
    for (const one of lost) one.stream.end();
    this.waiting = this.waiting.filter((one) => one.worker !== worker);
    this.running = this.running.filter((one) => one.worker !== worker);
    this.sweep();
  }

  /** Envoy makes a module that has trapped anew, not too often. */
  #revive(worker: number): boolean {
    const probe = this.cache.ask(say("probe"), [["x-t", "probe"]], worker);
    const alive = probe.upstream.ended || probe.paused.request;
    probe.end();
    this.cache.host.turn();
    if (alive) this.#dead.delete(worker);
    return alive;
  }

  /** Everybody gets to an end. */
  finish(): void {
    for (let i = 0; i < 200 && this.waiting.length + this.running.length > 0; i++) {
      this.end(0, "whole");
      if (this.running.length === 0) this.pass(100);
    }
    expect([this.waiting.length, this.running.length]).toEqual([0, 0]);
    const traps = this.cache.host.logs.filter(
      ({ level, message }) => level === "critical" || message.startsWith("abort:"),
    );
    expect(traps.length, "traps that nobody asked for").toBe(this.counts.get("trap") ?? 0);
  }
}
