/** The limiter on the test host and its reference, led through the same calls; every answer is compared. */
import { expect } from "vitest";
import type { Stream } from "../host/index.ts";
import { type Act, type Asking, type Ended, WORKERS } from "./rate-limit-arbitraries.ts";
import { type LimitHost, midnight, outcome, told } from "./rate-limit-driver.ts";
import { admits, UNTOUCHED, used } from "./rate-limit-meter.ts";
import type { Call, Ending, LimiterReference, RuleSpec } from "./rate-limit-reference.ts";

/** The rule as the filter reads it. */
export function written({ name, key, missingKey, model, limits, weights, shadow }: RuleSpec): object {
  const { input, cached, cacheWrite, output, reasoning } = weights;
  const [i, c, w, o, r] = [input, cached, cacheWrite, output, reasoning].map((value) => value / 1000);
  return {
    name,
    key: key.map((part) => (part === "team" ? { header: "x-team" } : { model: true })),
    missingKey,
    ...(model === undefined ? {} : { match: { models: [model] } }),
    limits: limits.map(({ unit, amount, ...more }) => ({
      unit,
      amount: unit === "weightedTokens" ? amount / 1000 : amount,
      ...more,
    })),
    ...(limits.some(({ unit }) => unit === "weightedTokens")
      ? { weights: { input: i, cachedInput: c, cacheWrite: w, output: o, reasoning: r } }
      : {}),
    shadow,
  };
}

interface Begun {
  readonly worker: number;
  /** The request that ends. */
  readonly which: Stream | undefined;
  readonly model: Generator<void, Call | undefined>;
  /** Does it in the filter; what comes back compares what the client was told. */
  readonly run: () => () => void;
  readonly compare: (call: Call | undefined) => void;
  ran: boolean;
}

/** Leads the reference through it. */
function drain(one: Begun, atEachAccess: () => void): void {
  one.ran = true;
  for (;;) {
    const { done, value } = one.model.next();
    if (done === true) {
      one.compare(value);
      return;
    }
    atEachAccess();
  }
}

/** The filter and the reference side by side. */
export class Pair {
  wall = midnight + 1_234_567;
  readonly running: { stream: Stream; call: Call; worker: number }[] = [];
  readonly outcomes = new Map<string, number>();
  #newest = 0;

  constructor(
    readonly filter: LimitHost,
    readonly reference: LimiterReference,
  ) {
    // The clock on the wall jumps; ticks go on by the other one.
    Object.defineProperty(filter.host.clock, "realtimeNs", { get: () => BigInt(this.wall) * 1_000_000n });
  }

  /**
   * A clock that goes back by more than a window makes meters begin anew. They do not know then which reservations they have forgotten, so a request that runs meanwhile is settled
   * against those of others; the exact reference holds for requests that do not.
   */
  back(ms: number): void {
    this.#newest = Math.max(this.#newest, this.wall);
    if (this.wall - ms < this.#newest - 1_000) this.endAll();
    this.wall -= ms;
  }

  endAll(): void {
    const nothing = { input: 0, cached: 0, cacheWrite: 0, output: 0, reasoning: 0 };
    for (let one = this.running[0]; one !== undefined; one = this.running[0])
      this.act(one.worker, { end: { kind: "early", usage: nothing, pieces: 0, which: 0 } }, null);
  }

  /** `between` happens before the `at`-th access to shared data, on another worker. */
  act(worker: number, act: Act, between: { at: number; act: Act } | null): void {
    let left = between === null ? -1 : between.at;
    let after: (() => void) | undefined;
    const { sharedData } = this.filter.host;
    const outer = this.#begin(act, () => true, worker);
    if (outer === undefined) return;
    const inner =
      between === null
        ? undefined
        : this.#begin(between.act, (one) => one !== outer.worker, (outer.worker + 1) % WORKERS, outer.which);
    sharedData.interleave = () => {
      if (inner !== undefined && left-- === 0) after = inner.run();
    };
    const finish = outer.run();
    sharedData.interleave = undefined;
    const happened = after !== undefined;
    let steps = between === null ? -1 : between.at;
    drain(outer, () => {
      if (steps-- === 0 && inner !== undefined) drain(inner, () => {});
    });
    finish();
    after?.();
    if (inner === undefined) return;
    expect(inner.ran).toBe(happened);
    if (happened) this.#count("between");
    else {
      const late = inner.run();
      drain(inner, () => {});
      late();
    }
  }

  #begin(act: Act, mayUse: (worker: number) => boolean, worker: number, not?: Stream): Begun | undefined {
    return "ask" in act ? this.#ask(act.ask, worker) : this.#end(act.end, mayUse, not);
  }

  #count(kind: string): void {
    this.outcomes.set(kind, (this.outcomes.get(kind) ?? 0) + 1);
  }

  #ask(asking: Asking, worker: number): Begun {
    const { model, promptBytes, declared, stream, team } = asking;
    const messages = [{ role: "user", content: "x".repeat(promptBytes) }];
    const body = JSON.stringify({
      model,
      messages,
      stream,
      ...(declared === undefined ? {} : { max_tokens: declared }),
    });
    const asked = { ...asking, bodyBytes: body.length };
    let sent: Stream | undefined;
    return {
      worker,
      ran: false,
      which: undefined,
      model: this.reference.ask(asked, worker, this.wall),
      run: () => {
        sent = this.filter.ask(body, team === undefined ? [] : [["x-team", team]], worker);
        return () => {};
      },
      compare: (call) => {
        if (call === undefined || sent === undefined) throw new Error("a call that did not happen");
        this.#compare(sent, call);
        if (call.outcome === "ok") this.running.push({ stream: sent, call, worker });
      },
    };
  }

  #compare(sent: Stream, call: Call): void {
    expect(outcome(sent)).toBe(call.outcome);
    this.#count(call.outcome);
    if (call.refusal === undefined) return;
    const { rule, wants, meters } = call.refusal;
    const { "retry-after-ms": wait = "", "retry-after": seconds } = told(sent);
    expect(seconds).toBe(String(Math.ceil(Number(wait) / 1000)));
    expect(rule.limits.some((one, i) => used(one, meters[i] ?? UNTOUCHED) > 0)).toBe(true);
    const passes = (at: number) =>
      rule.limits.every((one, i) => admits(one, meters[i] ?? UNTOUCHED, wants[i] ?? 0, at));
    expect(passes(this.wall + Number(wait))).toBe(true);
    if (Number(wait) > 1) expect(passes(this.wall + Number(wait) - 1)).toBe(false);
    this.#compareTold(sent, [...call.others, this.reference.leftOf(call.refusal)]);
  }

  #compareTold(stream: Stream, budgets: Parameters<LimiterReference["told"]>[0]): void {
    const headers = Object.entries(told(stream)).filter(([name]) => /^(limit|remaining)-/.test(name));
    expect(Object.fromEntries(headers)).toEqual(this.reference.told(budgets));
  }

  #end(ended: Ended, mayUse: (worker: number) => boolean, not: Stream | undefined): Begun | undefined {
    const usable = this.running.filter(({ worker, stream }) => mayUse(worker) && stream !== not);
    const found = usable[ended.which % Math.max(usable.length, 1)];
    if (found === undefined) return undefined;
    this.running.splice(this.running.indexOf(found), 1);
    const { stream, call, worker } = found;
    const [ending, drive] = this.#ending(ended, call);
    return {
      worker,
      ran: false,
      which: stream,
      model: this.reference.end(call, ending, this.wall),
      run: () => {
        drive(stream);
        return () => {
          const counts = call.outcome === "ok" && "usage" in ending;
          if (counts) this.#compareTold(stream, call.claims);
        };
      },
      compare: () => {},
    };
  }

  #ending({ kind, usage, pieces }: Ended, call: Call): [Ending, (stream: Stream) => void] {
    const streamed = call.asked.stream;
    const headers = {
      ":status": "200",
      "content-type": "text/event-stream",
      date: "d",
      server: "s",
      via: "v",
      age: "0",
    };
    const event = `data: {"choices":[{"delta":{"content":"word"}}],"id":"${"i".repeat(150)}"}\n\n`;
    const own = (status: number, details: string) => (stream: Stream) =>
      void stream.reply({ status, details, body: Buffer.from("no"), headers: [], grpcStatus: undefined });
    switch (kind) {
      case "usage": {
        const counts = {
          prompt_tokens: usage.input,
          completion_tokens: usage.output,
          prompt_tokens_details: { cached_tokens: usage.cached, cache_write_tokens: usage.cacheWrite },
          completion_tokens_details: { reasoning_tokens: usage.reasoning },
        };
        const text = JSON.stringify({ choices: [], usage: counts });
        const answer = streamed ? `${event.repeat(pieces)}data: ${text}\n\ndata: [DONE]\n\n` : text;
        return [{ usage, bytes: answer.length }, (stream) => void this.filter.answerWith(stream, answer)];
      }
      case "silent":
        return [
          { bytes: pieces * event.length + 2 },
          (stream) => void this.filter.answerWith(stream, `${event.repeat(pieces)}{}`),
        ];
      case "abort":
        return [
          { bytes: pieces * event.length },
          (stream) => {
            stream.responseHeaders(headers);
            for (let i = 0; i < pieces; i++) stream.responseBody(event, {});
            stream.end();
          },
        ];
      case "early":
        return [{ bytes: 0 }, (stream) => void stream.end()];
      case "error":
        return [{ cost: "free" }, (stream) => void this.filter.answerWith(stream, '{"error":{}}', "529")];
      case "unreached":
        return [{ cost: "free" }, own(503, "upstream_reset_before_response_started{connection_failure}")];
      default:
        return [{ cost: "prompt" }, own(504, "upstream_response_timeout")];
    }
  }
}
