/** Prometheus metrics of a ledger, in a registry of their own. Label values come from the configuration, never from requests. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Logger } from "../../log.ts";
import { OVERRIDE_NAME } from "./budgets.ts";
import type { LedgerObserver, Outcome } from "./ledger.ts";
import { Code } from "./protocol.ts";
import { Mode } from "./store.ts";
import { Tally } from "./tally.ts";

export interface LedgerMetrics extends LedgerObserver {
  readonly registry: Registry;
  /** malformed, refused, unavailable, busy, failed, internal. */
  readonly errors: Counter<"reason">;
  /** Seconds from the decoded call to its answer: nearly all of it is the store. */
  readonly latency: Histogram;
  readonly storeUp: Gauge;
  readonly keys: Gauge;
  readonly evictions: Counter<"what">;
  answered(domain: string, code: Code): void;
}

const MODE_NAME: Readonly<Record<Mode, string>> = {
  [Mode.reserve]: "reserve",
  [Mode.record]: "record",
  [Mode.settle]: "settle",
  [Mode.settleRecorded]: "settle",
  [Mode.refund]: "refund",
};

export function createLedgerMetrics(log: Logger): LedgerMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const counter = <T extends string>(name: string, help: string, labelNames: readonly T[]) =>
    new Counter<T>({ name: `tokenmesh_ledger_${name}`, help, labelNames: [...labelNames], registers });
  const tally = <T extends string>(name: string, help: string, labels: readonly T[]) =>
    new Tally(`tokenmesh_ledger_${name}`, help, labels, registry);
  const requests = tally("requests_total", "Calls answered, by domain and code.", ["domain", "code"]);
  const hits = tally("hits_total", "Hits charged or given back, by budget pattern and kind of charge.", [
    "domain",
    "descriptor",
    "mode",
  ]);
  const overLimit = counter("over_limit_total", "Descriptors that were over a limit.", ["domain", "descriptor"]);
  const shadow = counter("shadow_over_limit_total", "Descriptors that a shadow limit would have refused.", [
    "domain",
    "descriptor",
  ]);
  const unrecorded = counter("unrecorded_hits_total", "Hits that were refused and not charged.", [
    "domain",
    "descriptor",
  ]);
  const unmatched = counter("unmatched_total", "Descriptors without a limit: no pattern has one, no override came.", [
    "domain",
  ]);
  const replays = counter("replays_total", "Calls in which something was not charged again because its id was known.", [
    "domain",
  ]);
  const warnings = new LostChargeWarning(log);
  return {
    registry,
    errors: counter("errors_total", "Calls that failed, by reason.", ["reason"]),
    latency: new Histogram({
      name: "tokenmesh_ledger_store_seconds",
      help: "Time of a call in the ledger and its store.",
      buckets: [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
      registers,
    }),
    storeUp: new Gauge({ name: "tokenmesh_ledger_store_up", help: "1 while the store answers.", registers }),
    keys: new Gauge({ name: "tokenmesh_ledger_keys", help: "Budgets in memory.", registers }),
    evictions: counter("evictions_total", "Budgets dropped from memory for room: live ones start anew.", ["what"]),
    answered: (domain, code) => requests.add(1, domain, code === Code.ok ? "ok" : "over_limit"),
    unmatched: (domain) => unmatched.inc({ domain }),
    replayed: (domain) => replays.inc({ domain }),
    charged: (outcome) => {
      const { domain, descriptor, mode } = outcome;
      const charged = outcome.hits - outcome.unrecorded;
      if (charged > 0) hits.add(charged, domain, descriptor, MODE_NAME[mode]);
      if (outcome.over) overLimit.inc({ domain, descriptor });
      if (outcome.shadowOver) shadow.inc({ domain, descriptor });
      if (outcome.unrecorded > 0) unrecorded.inc({ domain, descriptor }, outcome.unrecorded);
      warnings.look(outcome);
    },
  };
}

/**
 * A pattern that is asked with 0 hits and later refuses hits is most likely charged at the end of the stream, where the tokens are spent already: they
 * would be lost, and the limit never reached. Said once per pattern.
 */
class LostChargeWarning {
  readonly #asked = new Set<string>();
  readonly #warned = new Set<string>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  look({ domain, descriptor, mode, hits, unrecorded }: Outcome): void {
    // Overrides of all rules share one name: who asks and who is refused need not be the same.
    if (mode !== Mode.reserve || descriptor === OVERRIDE_NAME) return;
    const name = `${domain}/${descriptor}`;
    if (hits === 0) this.#asked.add(name);
    else if (unrecorded > 0 && this.#asked.has(name) && !this.#warned.has(name)) {
      this.#warned.add(name);
      this.#log("warn", "hits that came after a question without hits were refused and are not charged", {
        domain,
        descriptor,
        remedy: "If they are charged at the end of a stream, set overLimit: record or send the entry tokenmesh.settle.",
      });
    }
  }
}
