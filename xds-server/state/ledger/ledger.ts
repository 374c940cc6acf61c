/**
 * The ledger itself: a RateLimitRequest and a time in, a RateLimitResponse out. Knows neither gRPC nor the clock.
 *
 * A descriptor's entries name the budget. Entries whose key begins with `tokenmesh.` steer the call instead:
 *
 *   tokenmesh.settle    the tokens are spent: charge them whether they fit or not. The value may be the time of admission (ms since the epoch);
 *                       then they are charged to the window of the admission, and to none when it is over
 *   tokenmesh.reserved  with settle: what was asked for at the admission. `hits_addend` is what was really used; each limit is corrected by the
 *                       difference to what it had reserved
 *   tokenmesh.id        with settle: the descriptor's own name. It is charged once in ten minutes, whatever else is in the calls that repeat it.
 *                       Without: the name of the call, but for the settlements with a name. A repetition within ten minutes gets the first answer and
 *                       charges nothing
 *   tokenmesh.model     counts usage under this model without making it part of the budget
 *
 * A descriptor may bring its limit; where the configuration allows it, that is the one which holds.
 */
import { bounded } from "./amounts.ts";
import { answerKey, limitsOf, meterOf, type NamedLimit, type Patterns, settlementKey, usageTable } from "./budgets.ts";
import { Calendar } from "./calendar.ts";
import { CONTROL_PREFIX } from "./config.ts";
import {
  Code,
  type Descriptor,
  type DescriptorStatus,
  type Entry,
  type RateLimitRequest,
  type RateLimitResponse,
} from "./protocol.ts";
import { asks, type Charge, type ChargeAnswer, type LedgerStore, type MeterState, Mode } from "./store.ts";
import { type Target, Targets, usageRow } from "./targets.ts";

/** What the ledger reports of each descriptor; names come from the configuration, so there are finitely many. */
export interface Outcome {
  readonly domain: string;
  readonly descriptor: string;
  readonly mode: Mode;
  readonly hits: number;
  readonly over: boolean;
  /** A shadow limit would have refused it. */
  readonly shadowOver: boolean;
  /** Hits that were asked for and not charged. */
  readonly unrecorded: number;
}

export interface LedgerObserver {
  unmatched(domain: string): void;
  charged(outcome: Outcome): void;
  /** Something in a call was charged before, and was not charged again. */
  replayed(domain: string): void;
}

/** The request is not one that the ledger answers. */
export class RequestError extends Error {
  override readonly name = "RequestError";
}

/** Bounds of one request. */
const MAX_DESCRIPTORS = 32;
const MAX_ENTRIES = 32;
/** UTF-16 units of a key or value. */
export const MAX_TEXT = 4_096;

interface Control {
  id: string;
  settle: boolean;
  admittedAt: number | undefined;
  reserved: number;
  model: string;
}

interface Planned {
  readonly target: Target;
  readonly limits: readonly NamedLimit[];
  readonly charge: Charge;
}

export class Ledger {
  #targets: Targets;
  readonly #store: LedgerStore;
  readonly #observer: LedgerObserver;
  readonly #calendar = new Calendar();

  constructor(patterns: Patterns, store: LedgerStore, observer: LedgerObserver) {
    this.#targets = new Targets(patterns);
    this.#store = store;
    this.#observer = observer;
  }

  get patterns(): Patterns {
    return this.#targets.patterns;
  }

  /** From now on calls are answered by these; what budgets have used stays. */
  set patterns(patterns: Patterns) {
    this.#targets = new Targets(patterns);
  }

  /**
   * Answers one call.
   * @param now ms since the epoch
   * @throws RequestError, StoreError
   */
  async shouldRateLimit(request: RateLimitRequest, now: number): Promise<RateLimitResponse> {
    const { domain, descriptors } = request;
    if (descriptors.length > MAX_DESCRIPTORS) throw new RequestError(`more than ${MAX_DESCRIPTORS} descriptors`);
    const known = this.patterns.knows(domain) ? domain : "unknown";
    const ids: string[] = [];
    const planned = descriptors.map((descriptor) => this.#plan(request, descriptor, now, ids));
    const charges = planned.flatMap((plan) => (plan === undefined ? [] : [plan.charge]));
    for (const plan of planned) if (plan === undefined) this.#observer.unmatched(known);
    if (charges.length === 0) return { code: Code.ok, statuses: descriptors.map(() => ({ code: Code.ok })) };
    const answer = await this.#store.charge({
      now,
      charges,
      name: ids.length === 0 ? "" : answerKey(domain, fingerprint(ids, charges)),
      usageTable: charges.some(({ usage }) => usage !== "") ? usageTable(domain, dayOf(now)) : "",
    });
    if (answer.replayed.includes(true)) this.#observer.replayed(domain);
    return this.#respond(planned, answer, now);
  }

  #plan({ domain, hits }: RateLimitRequest, descriptor: Descriptor, now: number, ids: string[]): Planned | undefined {
    if (descriptor.entries.length > MAX_ENTRIES) throw new RequestError(`more than ${MAX_ENTRIES} entries`);
    const entries: Entry[] = [];
    const control: Control = { id: "", settle: false, admittedAt: undefined, reserved: 0, model: "" };
    for (const entry of descriptor.entries) {
      if (entry.key.length > MAX_TEXT || entry.value.length > MAX_TEXT) {
        throw new RequestError(`an entry has more than ${MAX_TEXT} characters`);
      }
      if (entry.key.startsWith(CONTROL_PREFIX)) steer(control, entry);
      else entries.push(entry);
    }
    if (control.id !== "" && !control.settle) ids.push(control.id);
    const target = this.#targets.find(domain, entries);
    if (target === undefined) return undefined;
    const limits = limitsOf(target, descriptor.limit);
    if (limits === undefined) throw new RequestError("the override has a unit that the ledger does not count in");
    if (limits.length === 0) return undefined;
    const wanted = bounded(descriptor.hits ?? (hits === 0 ? 1 : hits));
    const record = target.descriptor.overLimit === "record";
    const { id, settle, reserved, admittedAt, model } = control;
    const mode = descriptor.negative ? Mode.refund : modeOf(settle, record);
    const charge: Charge = {
      key: target.key,
      label: target.label,
      mode,
      hits: wanted,
      reserved,
      meters: limits.map((limit) => meterOf(this.#calendar, limit, now, admittedAt)),
      usage: usageRow(target, model === "" ? (entries.find(({ key }) => key === "model")?.value ?? "") : model),
      name: settle && id !== "" ? settlementKey(domain, target.key, [mode, wanted, reserved], id) : "",
    };
    return { target, limits, charge };
  }

  #respond(planned: readonly (Planned | undefined)[], answer: ChargeAnswer, now: number): RateLimitResponse {
    let next = 0;
    // What is spent or given back refuses nothing: it must not turn away the reservation that it came with.
    let overall: Code = Code.ok;
    const statuses = planned.map((plan): DescriptorStatus => {
      if (plan === undefined) return { code: Code.ok };
      const [states, replayed] = [answer.states[next] ?? [], answer.replayed[next] === true];
      next++;
      const status = statusOf(plan, states, now);
      if (status.code === Code.overLimit && asks(plan.charge)) overall = Code.overLimit;
      if (!replayed) this.#observer.charged(outcomeOf(plan, states, answer.admitted));
      return status;
    });
    return { code: overall, statuses };
  }
}

function steer(control: Control, { key, value }: Entry): void {
  switch (key) {
    case "tokenmesh.id":
      control.id = value;
      return;
    case "tokenmesh.settle":
      control.settle = true;
      if (/^\d{12,15}$/.test(value)) control.admittedAt = Number(value);
      return;
    case "tokenmesh.reserved":
      if (!/^\d{1,20}$/.test(value)) throw new RequestError("tokenmesh.reserved is not a whole number");
      control.reserved = bounded(Number(value));
      return;
    case "tokenmesh.model":
      control.model = value.slice(0, 256);
      return;
    default:
      throw new RequestError(`no such control entry: ${key.slice(0, 64)}`);
  }
}

function modeOf(settle: boolean, record: boolean): Mode {
  if (settle) return record ? Mode.settleRecorded : Mode.settle;
  return record ? Mode.record : Mode.reserve;
}

/** The same id with other charges is another call. Settlements with a name are none of it: they may have company that changes. */
function fingerprint(ids: readonly string[], charges: readonly Charge[]): string {
  const unnamed = charges.filter(({ name }) => name === "");
  return JSON.stringify([ids, unnamed.map(({ key, mode, hits, reserved }) => [key, mode, hits, reserved])]);
}

const DAY_MS = 86_400_000;
let today = { number: Number.NaN, name: "" };

/** UTC day of a moment, YYYY-MM-DD. The last one is kept. */
function dayOf(now: number): string {
  const number = Math.floor(now / DAY_MS);
  if (number !== today.number) today = { number, name: new Date(number * DAY_MS).toISOString().slice(0, 10) };
  return today.name;
}

/** The most constrained limit: of those that refuse, the one that lasts longest; else the one with the least left. Shadow limits are not shown. */
function statusOf({ target, limits }: Planned, states: readonly MeterState[], now: number): DescriptorStatus {
  let shown: { limit: NamedLimit; state: MeterState; remaining: number } | undefined;
  for (const [index, limit] of limits.entries()) {
    const state = states[index];
    if (state === undefined || limit.config.shadow) continue;
    const remaining = Math.max(0, limit.amount - state.used);
    const worse =
      shown === undefined ||
      (state.over !== shown.state.over
        ? state.over
        : state.over || remaining === shown.remaining
          ? state.resetAt > shown.state.resetAt
          : remaining < shown.remaining);
    if (worse) shown = { limit, state, remaining };
  }
  if (shown === undefined) return { code: Code.ok };
  const { limit, state, remaining } = shown;
  return {
    code: state.over ? Code.overLimit : Code.ok,
    limit: { name: target.descriptor.name, requestsPerUnit: limit.amount, unit: limit.unit },
    remaining,
    resetMs: Math.max(0, state.resetAt - now),
  };
}

function outcomeOf({ target, limits, charge }: Planned, states: readonly MeterState[], admitted: boolean): Outcome {
  const isOver = (shadow: boolean) =>
    limits.some(({ config }, m) => config.shadow === shadow && states[m]?.over === true);
  return {
    domain: target.domain,
    descriptor: target.descriptor.name,
    mode: charge.mode,
    hits: charge.hits,
    over: isOver(false),
    shadowOver: isOver(true),
    unrecorded: charge.mode === Mode.reserve && !admitted ? charge.hits : 0,
  };
}
